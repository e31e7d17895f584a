#!/usr/bin/env python3
"""Makes a longer list of a word list: words.py FILE N. Each word of FILE is in it, in its place among the
others; the same arguments make the same list."""
import sys

words = open(sys.argv[1]).read().split()
count = int(sys.argv[2])
times, left = divmod(count, len(words))
for i, word in enumerate(words):
    print(word)
    for n in range(1, times + (i < left)):
        print(f"{word}-{n}x")
