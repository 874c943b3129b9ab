#!/usr/bin/env bash
# Guess: CEL is specified, so two CEL engines for Python give one answer to one expression.
# Truth: common-expression-language counts bytes in size() where cel-python counts characters, compares 1 with 1.0 where
# cel-python raises "no such overload", and refuses duration("1d") and int("0x10") where cel-python reads them.
# Why it matters: conditions written in CEL (Cerbos, Kubernetes, MCP drafts) are not portable between the packages, and a
# limit on the length of a text means something else as soon as the text is not ASCII.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q common-expression-language==0.10.0 cel-python==0.5.0
cat >ask.py <<'P'
import cel
import celpy


def both(expression):
    answers = []
    for evaluate in (lambda: cel.evaluate(expression, {}), lambda: _celpy(expression)):
        try:
            answers.append(str(evaluate()))
        except Exception as error:
            answers.append("error")
    return answers


def _celpy(expression):
    environment = celpy.Environment()
    return environment.program(environment.compile(expression)).evaluate({})


print(both("size('\u00e9t\u00e9')"), both("1 == 1.0"), both("duration('1d') == duration('24h')"), both("int('0x10')"))
P
seen=$(v/bin/python ask.py)
echo "common-expression-language 0.10.0 and cel-python 0.5.0: $seen"
[ "$seen" = "['5', '3'] ['True', 'error'] ['error', 'True'] ['error', '16']" ]
