"""How sure one can be: bootstrap, intervals, ceilings, floors."""
