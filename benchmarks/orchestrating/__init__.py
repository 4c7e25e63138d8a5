"""Many instances of one process: as a saga, and by hand."""
