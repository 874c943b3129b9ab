#!/usr/bin/env bash
# Guess: libraries over the Public Suffix List agree which registered domain a host belongs to.
# Truth: for team.github.io, tldextract says github.io (it leaves the private part of the list out unless asked), publicsuffixlist
# team.github.io. For robot.local and 10.0.0.7, tldextract says none, publicsuffixlist robot.local and 0.7.
# Why it matters: "block the registered domain" of one bad page blocks all of GitHub Pages with one and the page with the other, and
# counts per owner differ; addresses become owners. Give include_psl_private_domains=True and keep addresses out.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q tldextract==5.4.0 publicsuffixlist==1.1.2.20261023
cat >ask.py <<'P'
from publicsuffixlist import PublicSuffixList
from tldextract import TLDExtract

extract, suffixes = TLDExtract(suffix_list_urls=(), cache_dir=None), PublicSuffixList()
for host in ("www.example.co.uk", "team.github.io", "robot.local", "10.0.0.7"):
    print(host, extract(host).top_domain_under_public_suffix or "none", suffixes.privatesuffix(host) or "none")
P
seen=$(v/bin/python ask.py)
echo "host, tldextract 5.4.0, publicsuffixlist 1.1.2.20261023:"
echo "$seen"
[ "$seen" = "www.example.co.uk example.co.uk example.co.uk
team.github.io github.io team.github.io
robot.local none robot.local
10.0.0.7 none 0.7" ]
