"""Exports of a period, ordered through api/history_export.py and made by a program of their own.

`orders.py`: the table of what was ordered. `columns.py`: what a row tells. `files.py`: Parquet, CSV and workbooks,
written row by row. `rights.py`: whether what was made may still be handed out. `exporter.py`: makes them.
"""
