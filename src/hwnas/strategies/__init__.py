"""One published search system per file, its loop visible."""
