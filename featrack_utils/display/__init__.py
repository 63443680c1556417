"""What people see: figures, tables, text, explorer, widgets."""
