"""Many rows: a table → inputs by the schema → chunks of JSON Lines → a table with results.

Pure but for the Files it is handed, and streamed: only an Excel workbook is in memory as a whole. `matinee.tables`
reads and writes the files. Reading order: `inputs`, `storage`.
"""
