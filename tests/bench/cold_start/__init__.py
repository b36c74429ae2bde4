"""How soon a visitor whom nobody knows, and a product that nobody has bought, are served."""
