"""Tables as people have them: one reader (CSV, Excel, Parquet, clipboard) and one writer, for every door."""

ENDINGS = ("csv", "tsv", "txt", "xlsx", "parquet")  # of file names that a file dialog offers
