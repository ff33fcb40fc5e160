#!/usr/bin/env python3
"""Derives crates/cluster/data/kubernetes.gz from what a Kubernetes API server says about itself.

    tools/derive-schema.py FOLDER

FOLDER holds INDEX.json, a list of {"file", "path", "accept"}, and the xz-compressed answers it names: `/`,
`/version`, plain discovery and every document under `/openapi/v3`. The result is a gzip of lines `PATH JSON`, one
per answer, as the server gave it except that

- descriptions are left out (we want names, types, merge keys: facts, not prose),
- OpenAPI v2 is left out, and aggregated discovery is kept for a test only (both follow from the rest),
- addresses of the machine that was asked are left out.

The output depends on the input alone: no time stamp, keys in the server's order.
"""
import gzip
import json
import lzma
import pathlib
import sys

CLUSTER = pathlib.Path(__file__).resolve().parent.parent / "crates" / "cluster"
DATA = CLUSTER / "data" / "kubernetes.gz"
AGGREGATED = CLUSTER / "src" / "apiserver" / "discovery" / "aggregated.gz"

# Below these keys, other keys are names that somebody chose: a field may well be called "description".
NAMES = {"properties", "schemas", "paths", "default"}


def without_descriptions(value, names=False):
    if isinstance(value, dict):
        return {
            key: below
            if key == "responses"  # OpenAPI demands these; they say "OK"
            else without_descriptions(below, key in NAMES and not names)
            for key, below in value.items()
            if names or not (key == "description" and isinstance(below, str))
        }
    if isinstance(value, list):
        return [without_descriptions(below) for below in value]
    return value


def main(folder):
    lines = []
    aggregated = []
    for entry in json.loads((folder / "INDEX.json").read_text()):
        path = entry["path"].split("?")[0]
        if path == "/openapi/v2":
            continue
        answer = json.loads(lzma.decompress((folder / entry["file"]).read_bytes()))
        if "as=APIGroupDiscoveryList" in entry["accept"]:
            aggregated.append(f"{path} {json.dumps(answer, separators=(',', ':'))}\n")
            continue
        if path.startswith("/openapi/"):
            answer = without_descriptions(answer)
        answer.pop("serverAddressByClientCIDRs", None)
        lines.append(f"{path} {json.dumps(answer, separators=(',', ':'), ensure_ascii=False)}\n")
    for file, answers in (DATA, lines), (AGGREGATED, aggregated):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(gzip.compress("".join(sorted(answers)).encode(), 9, mtime=0))
        print(f"{file}: {len(answers)} answers, {file.stat().st_size} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
