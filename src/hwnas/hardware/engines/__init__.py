"""One inference engine per file; the vendor's library is imported lazily there."""
