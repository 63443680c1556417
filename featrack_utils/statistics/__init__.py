"""How sure one can be: bootstrap, ceilings, floors, probes, simulations."""
