#!/usr/bin/env python3
"""Whether what a program printed can be shown on a terminal: no control characters but line feeds and
tabs, nothing that turns the direction of text, nothing that is not UTF-8. Says what it finds.

    plain.py FILE...
"""
import sys
import unicodedata

BIDI = set("\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
bad = 0
for file in sys.argv[1:]:
    data = open(file, "rb").read()
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        print(f"{file}: not UTF-8: {error}")
        bad = 1
        continue
    for place, letter in enumerate(text):
        if letter in "\n\t":
            continue
        if unicodedata.category(letter) == "Cc" or letter in BIDI:
            print(f"{file}: U+{ord(letter):04X} at {place}: {text[max(0, place - 30):place + 10]!r}")
            bad = 1
            break
sys.exit(bad)
