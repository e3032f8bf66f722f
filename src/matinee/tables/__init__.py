"""Tables as people have them: one reader (CSV, Excel, Parquet, clipboard) and one writer, for every door."""
