#!/usr/bin/env bash
# Guess: a recording whose writer was killed before finish() is read up to the last whole record, whichever reader is taken.
# Truth: make_reader() and NonSeekingReader give no message at all, the second one since it sorts before it yields; with the
# default chunks even the file lacks the last megabyte. StreamReader over an unchunked file gives all of them.
# Why it matters: a robot's power is cut in the minutes that somebody wants to see. Record without chunks, flush each second,
# and read what is left by StreamReader.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q mcap==1.6.0
cat >record.py <<'P'
import os
import sys

from mcap.writer import Writer

file = open(sys.argv[1], "wb")
writer = Writer(file, use_chunking=sys.argv[2] == "chunks")
writer.start()
schema = writer.register_schema("Level", "jsonschema", b"{}")
channel = writer.register_channel("/level", "json", schema)
for number in range(1000):
    writer.add_message(channel, number, b'{"level": 7}', number)
file.flush()
os._exit(0)  # the end of a killed recorder: finish() is never called
P
cat >read.py <<'P'
import io
import sys

from mcap.reader import NonSeekingReader, make_reader
from mcap.records import Message
from mcap.stream_reader import StreamReader


def count(read):
    found = 0
    try:
        for _ in read():
            found += 1
    except Exception as error:
        return found, type(error).__name__
    return found, "no error"


data = open(sys.argv[1], "rb").read()
print("make_reader:", *count(lambda: make_reader(io.BytesIO(data)).iter_messages()))
print("NonSeekingReader:", *count(lambda: NonSeekingReader(io.BytesIO(data)).iter_messages()))
print("StreamReader:", *count(lambda: (r for r in StreamReader(io.BytesIO(data)).records if isinstance(r, Message))))
P
for kind in plain chunks; do
  v/bin/python record.py $kind.mcap $kind
  echo "$kind"; v/bin/python read.py $kind.mcap
done >seen
echo "mcap 1.6.0:"; cat seen
grep -Pzq '(?s)plain\nmake_reader: 0 EndOfFile\nNonSeekingReader: 0 EndOfFile\nStreamReader: 1000 EndOfFile\nchunks\n.*StreamReader: 0 ' seen
