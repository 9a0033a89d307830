"""Decides where to look (tissue, quality, grid) and drives blocks through Dask into stores."""
