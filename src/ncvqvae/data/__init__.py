"""From files, tables, arrays and archives to datasets of series, and to the split that is trained on."""
