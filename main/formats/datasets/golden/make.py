"""Writes the small files of this folder with the programs that people use.

Run: python main/formats/datasets/golden/make.py   (needs openpyxl, odfpy, pandas, pyarrow, duckdb)
endless.parquet is a find of the fuzzer and is not made here.
"""

import datetime
import io
import json
import sqlite3
import zipfile
from pathlib import Path

import duckdb
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

here = Path(__file__).parent


def tickets_xlsx():
    book = openpyxl.Workbook()
    cover = book.active
    cover.title = "About"
    cover["A1"] = "Export of the help desk"
    sheet = book.create_sheet("Tickets")
    sheet["A1"] = "Tickets of the week"
    sheet.merge_cells("A1:F1")
    sheet["A3"], sheet["B3"], sheet["C3"], sheet["D3"], sheet["E3"], sheet["F3"] = (
        "Text",
        "Queue",
        "Opened",
        "Price",
        "Share",
        "Urgent",
    )
    rows = [
        ["Where is my parcel?", "delivery", datetime.datetime(2024, 3, 1), 3.1, 0.05, True],
        ["It came broken", None, datetime.datetime(2024, 3, 2, 14, 30), 1234.5, 0.5, False],
        [None] * 6,
        ["Give me my money\nback", "refund", None, None, None, None],
        ["Grüße, 你好", "refund", None, 7, None, "#N/A"],
    ]
    for index, row in enumerate(rows):
        for column, value in enumerate(row):
            sheet.cell(4 + index, 1 + column, value)
        sheet.cell(4 + index, 4).number_format = "0.00"
        sheet.cell(4 + index, 5).number_format = "0%"
    sheet.merge_cells("B4:B5")
    bare = book.create_sheet("No header")
    for row in [["fine", "ham"], ["buy now", "spam"], ["hello", "ham"], ["cheap", "spam"]]:
        bare.append(row)
    hidden = book.create_sheet("Hidden")
    hidden.sheet_state = "hidden"
    for index in range(20):
        hidden.append([f"secret {index}", "x"])
    book.save(here / "tickets.xlsx")


def with_formula():
    """A formula with the value that Excel computed; openpyxl writes no values, so the cell is put in by hand."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["text", "label", "sum"])
    sheet.append(["one", "a", 0])
    sheet.append(["two", "b", 0])
    buffer = io.BytesIO()
    book.save(buffer)
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(here / "formula.xlsx", "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            data = source.read(name)
            if name == "xl/worksheets/sheet1.xml":
                data = data.replace(b'<c r="C2" t="n"><v>0</v></c>', b'<c r="C2"><f>1+2</f><v>3</v></c>')
                assert b"<f>1+2</f>" in data
            target.writestr(name, data)


def tickets_ods():
    frame = pd.DataFrame(
        {
            "text": ["Where is it?", "Broken", "Grüße"],
            "label": ["delivery", "refund", "delivery"],
            "opened": [datetime.date(2024, 3, 1), datetime.date(2024, 3, 2), datetime.date(2024, 3, 3)],
            "price": [3.5, 10, 0.25],
        }
    )
    with pd.ExcelWriter(here / "tickets.ods", engine="odf") as writer:
        pd.DataFrame({"note": ["made by pandas"]}).to_excel(writer, sheet_name="About", index=False)
        frame.to_excel(writer, sheet_name="Tickets", index=False)


def pandas_json():
    frame = pd.DataFrame({"text": ["fine", "bad", "so so"], "label": ["pos", "neg", "pos"]})
    shapes = {orient: json.loads(frame.to_json(orient=orient)) for orient in ("records", "columns", "index", "split", "values", "table")}
    (here / "pandas-shapes.json").write_text(json.dumps(shapes, indent=1) + "\n")


def parquet_files():
    table = pa.table({"text": [f"row {i % 5}" for i in range(40)], "label": [i % 2 for i in range(40)]})
    for codec in ("lz4", "zstd", "brotli", "gzip", "snappy", "none"):
        pq.write_table(table, here / f"{codec}.parquet", compression=codec)
    features = {
        "text": {"dtype": "string", "_type": "Value"},
        "label": {"names": ["negative", "positive"], "_type": "ClassLabel"},
    }
    classes = pa.table({"text": ["good", "bad", "none"], "label": pa.array([1, 0, -1], pa.int64())})
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(classes.replace_schema_metadata(metadata), here / "classes.parquet")
    connection = duckdb.connect()
    connection.execute(
        f"COPY (SELECT 'row ' || i AS text, CASE WHEN i % 2 = 0 THEN 'even' ELSE 'odd' END AS label, i::HUGEINT AS big, "
        f"DATE '2024-03-01' AS day FROM range(30) t(i)) TO '{here / 'duckdb.parquet'}' (FORMAT parquet, COMPRESSION lz4_raw)"
    )


def database():
    path = here / "tickets.sqlite"
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE settings (name TEXT, value TEXT)")
    connection.execute("INSERT INTO settings VALUES ('theme', 'dark')")
    connection.execute('CREATE TABLE "the tickets" (text TEXT, label TEXT, price REAL, n INTEGER)')
    connection.executemany(
        'INSERT INTO "the tickets" VALUES (?, ?, ?, ?)',
        [("Where?", "delivery", 1.5, 9007199254740993), ("Grüße", "refund", None, 2), ("Late", "delivery", 3.0, 3)],
    )
    connection.execute('CREATE VIEW late AS SELECT text, label FROM "the tickets" WHERE n = 3')
    connection.commit()
    connection.close()


for make in (tickets_xlsx, with_formula, tickets_ods, pandas_json, parquet_files, database):
    make()
