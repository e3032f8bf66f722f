"""Many rows: a table of text or Parquet → inputs by the schema → chunks of JSON Lines → a table with results.

Pure but for the Files it is handed, and streamed throughout: nothing here holds more than one chunk of a table. Reading
order: `table` (what any file becomes), `mapping`, `cells`, `check`, `chunks`, `joined`, `export`.
"""
