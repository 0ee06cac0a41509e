#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# Checks that every function that a public header declares stands, with the same prototype, in the
# SYNOPSIS of some page in docs/man, and that no page promises a function that does not exist.
set -euo pipefail
cd "$(dirname "$0")/.."

shopt -s nullglob

# check PREFIX HEADER PAGE...: the functions whose names begin so.
check() {
	python3 - "$@" <<'PYTHON'
import re
import sys


def without_comments(text):
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    return re.sub(r"//[^\n]*", " ", text)


def normal(prototype):
    """One spelling for each prototype: no space that C does not need."""
    prototype = re.sub(r"\s+", " ", prototype).strip()
    prototype = re.sub(r"^(extern|[A-Z]+_[A-Z_]+) ", "", prototype)
    prototype = re.sub(r" ?([*(),\[\]]) ?", r"\1", prototype)
    return prototype


def functions(text):
    """Prototypes of the functions with our prefix in text, by name."""
    found = {}
    for statement in re.split(r"[;{}]", text):
        match = re.search(rf"\b({sys.argv[1]}\w+)\s*\(", statement)
        if match and "typedef" not in statement and "(*" not in statement[: match.start()]:
            found.setdefault(match.group(1), set()).add(normal(statement))
    return found


def header_functions(path):
    text = without_comments(open(path, encoding="utf-8").read())
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*$", "", text, flags=re.M)
    text = re.sub(r'extern\s+"C"', "", text)
    return functions(text)


def macro_text(line):
    """What a roff request such as .BI prints: its arguments, run together or spaced."""
    name, _, rest = line[1:].partition(" ")
    if name not in ("B", "I", "R", "BI", "BR", "IB", "IR", "RB", "RI"):
        return ""
    words = [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|(\S+)', rest)]
    return (" " if len(name) == 1 else "").join(words)


def synopsis(path):
    lines = []
    inside = False
    for line in open(path, encoding="utf-8"):
        line = line.rstrip("\n")
        if re.match(r"\.S[Hh]\s", line):
            inside = "SYNOPSIS" in line
        elif inside and line.startswith((".", "'")):
            lines.append(macro_text(line))
        elif inside:
            lines.append(line)
    text = "\n".join(lines)
    text = re.sub(r"\\f(?:\[\w*\]|\w)", "", text)
    text = text.replace("\\-", "-").replace("\\ ", " ").replace("\\~", " ").replace("\\&", "")
    text = re.sub(r"^\s*#include[^\n]*$", "", text, flags=re.M)
    return functions(without_comments(text))


def main(header, pages):
    declared = header_functions(header)
    problems = []
    documented = set()
    if not declared:
        problems.append(f"{header}: no functions found")
    for page in pages:
        for name, prototypes in synopsis(page).items():
            documented.add(name)
            if name not in declared:
                problems.append(f"{page}: {name} is not declared in {header}")
                continue
            for prototype in prototypes - declared[name]:
                problems.append(
                    f"{page}: {prototype}\n  but {header} has {' or '.join(declared[name])}"
                )
    for name in sorted(declared.keys() - documented):
        problems.append(f"{header}: {name} is in no man page's SYNOPSIS")
    for problem in problems:
        print(problem)
    print(f"{len(declared)} functions, {len(pages)} pages, {len(problems)} problems")
    return 1 if problems else 0


sys.exit(main(sys.argv[2], sys.argv[3:]))
PYTHON
}

status=0
check Dusi_ dusi/dusi.h docs/man/*.3 || status=1
check gaio_ dusi/aio/gaio.h docs/man/gaio.7 || status=1
exit "$status"
