"""Pure arithmetic from cells and maps to scores."""
