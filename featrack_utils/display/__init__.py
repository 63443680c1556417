"""What people see: figures, tables, text, explorer, live controls."""
