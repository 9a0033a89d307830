"""The steps that take one slide from its file to a table of judged cells, tile by tile."""
