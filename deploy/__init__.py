"""How Attune is run: here (`local`) and elsewhere (`helm`, `images`)."""
