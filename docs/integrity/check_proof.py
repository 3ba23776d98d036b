#!/usr/bin/env python3
"""Checks what a log of Annals publishes, with nothing but Python and the log's verifier key.

    check_proof.py FILE KEY
    check_proof.py CONSISTENCY KEY OLDER
    check_proof.py FOLDER KEY [OLDER ...]

FILE is a proof of one event (`annals-proof/v1`), the proofs.jsonl of an export (`annals-proofs/v1`), a package of
somebody's data, which must be as it was sealed, or a page of /v1/audit/events. CONSISTENCY is what
/v1/log/consistency?from=<size of OLDER> answers, OLDER a checkpoint that was kept: the log must begin with what it had
then. FOLDER has `checkpoint` and `tile/`, as the notary's directory has them or as they were fetched: every tile must
follow from those below, the root from all of them, and each OLDER checkpoint from the tiles. KEY is the verifier key, or a
file that has it.

Exits with 0 when everything is proved, with 1 when something is not, with 2 when it cannot be read.

Written from RFC 6962 and RFC 9162 (the tree), RFC 8032 (Ed25519), C2SP signed-note, tlog-checkpoint and tlog-tiles, and
docs/integrity.md (the leaf), RFC 7515 and RFC 8037 (the seal of a package). It shares nothing with Annals.
"""

import base64
import hashlib
import json
import os
import sys


class NotProved(Exception):
    pass


# Ed25519, RFC 8032, sections 5.1.3, 5.1.4 and 5.1.7.

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def add(a, b):
    s, t = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    u, v = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = t - s, v - u, v + u, t + s
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(scalar, point):
    total = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point, scalar = add(point, point), scalar >> 1
    return total


def point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= P:
        raise NotProved("a point of the signature is not canonical")
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P or (x == 0 and sign):
        raise NotProved("a point of the signature is not on the curve")
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


BASE = point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def signed_by(key, message, signature):
    if len(signature) != 64:
        return False
    s = int.from_bytes(signature[32:], "little")
    if s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    a, b = times(s, BASE), add(point(signature[:32]), times(k, point(key)))
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


# C2SP signed-note and tlog-checkpoint.


def verifier(text):
    name, key_id, key = text.strip().split("+", 2)
    key = base64.b64decode(key, validate=True)
    expected = hashlib.sha256(name.encode() + b"\n" + key).digest()[:4]
    if len(key) != 33 or key[0] != 1 or expected.hex() != key_id:
        raise ValueError("this is not an Ed25519 verifier key")
    return name, expected, key[1:]


def checkpoint(note, key):
    """The size and the root of a tree, if the key has signed them."""
    name, key_id, public = key
    text, _, signatures = note.rpartition("\n\n")
    text += "\n"
    for line in signatures.splitlines():
        dash, signer, value = line.split(" ")
        value = base64.b64decode(value, validate=True)
        if dash == "\u2014" and signer == name and value[:4] == key_id:
            if not signed_by(public, text.encode(), value[4:]):
                raise NotProved("the signature of the checkpoint is not valid")
            break
    else:
        raise NotProved("the key has not signed the checkpoint")
    origin, size, root = text.splitlines()[:3]
    if origin != name or str(int(size)) != size:
        raise NotProved("this is no checkpoint of the log")
    return int(size), base64.b64decode(root, validate=True)


# The leaf of an event (docs/integrity.md) and the tree (RFC 6962, section 2.1).

FIELDS = ["position", "aggregate_type", "aggregate_id", "sequence", "event_type", "event_version", "recorded_at_micros",
          "payload_sha256", "metadata_sha256", "sealed_sha256"]


def leaf_hash(leaf):
    if sorted(leaf) != sorted(FIELDS):
        raise NotProved("a leaf has other fields")
    values = ["-" if leaf[field] is None else str(leaf[field]) for field in FIELDS]
    if any("\n" in value for value in values):
        raise NotProved("a value has a line feed in it")
    data = "".join(value + "\n" for value in ["annals-leaf/v1"] + values).encode()
    return hashlib.sha256(b"\x00" + data).digest()


def included(leaf, hashes, size, root):
    """RFC 9162, section 2.1.3.2."""
    index = leaf["position"] - 1
    if not 0 <= index < size:
        raise NotProved(f"position {leaf['position']} is not in a tree of {size}")
    node, at, last = leaf_hash(leaf), index, size - 1
    for other in hashes:
        if last == 0:
            raise NotProved(f"the proof of position {leaf['position']} is too long")
        if at & 1 or at == last:
            node = hashlib.sha256(b"\x01" + other + node).digest()
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\x01" + node + other).digest()
        at, last = at >> 1, last >> 1
    if last != 0 or node != root:
        raise NotProved(f"position {leaf['position']} is not in the tree that was signed")


def consistent(old, old_root, new, new_root, hashes):
    """RFC 9162, section 2.1.4.2."""
    if not 0 <= old <= new:
        raise NotProved(f"a tree of {new} cannot begin with one of {old}")
    if old == 0 or old == new:
        if hashes or (old == new and old_root != new_root) or (old == 0 and old_root != hashlib.sha256().digest()):
            raise NotProved("the two trees are not the same")
        return
    if not hashes:
        raise NotProved("the proof of consistency is empty")
    if old & (old - 1) == 0:
        hashes = [old_root] + hashes
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = hashes[0]
    for other in hashes[1:]:
        if last == 0:
            raise NotProved("the proof of consistency is too long")
        if at & 1 or at == last:
            first = node_hash(other, first)
            second = node_hash(other, second)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            second = node_hash(second, other)
        at, last = at >> 1, last >> 1
    if last != 0 or first != old_root or second != new_root:
        raise NotProved(f"the tree of {new} does not begin with the tree of {old} that was signed")


# The tiles, C2SP tlog-tiles.


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def over(hashes):
    """The hash over a complete subtree."""
    while len(hashes) > 1:
        hashes = [node_hash(hashes[i], hashes[i + 1]) for i in range(0, len(hashes), 2)]
    return hashes[0]


def tile(folder, level, index, width):
    """The hashes of a tile. The full one serves for a partial one that it has replaced."""
    parts = [f"{index % 1000:03}"]
    while index >= 1000:
        index //= 1000
        parts.insert(0, f"x{index % 1000:03}")
    path = os.path.join(folder, "tile", str(level), *parts)
    if width < 256 and os.path.exists(f"{path}.p/{width}"):
        path = f"{path}.p/{width}"
    with open(path, "rb") as file:
        data = file.read()
    if len(data) % 32 or len(data) < 32 * width:
        raise NotProved(f"{path} has another length")
    return [data[32 * i : 32 * i + 32] for i in range(width)]


def tree(folder, size):
    """The root of the tree of this size. Each tile above must be what those below make of it."""
    pending, level, below = [], 0, None
    while size >> (8 * level):
        count, full, hashes = size >> (8 * level), [], []
        for index in range((count + 255) // 256):
            hashes = tile(folder, level, index, min(256, count - 256 * index))
            if below is not None and hashes != below[256 * index : 256 * index + len(hashes)]:
                raise NotProved(f"tile {index} of level {level} does not follow from those below")
            if len(hashes) == 256:
                full.append(over(hashes))
        if count % 256:
            pending.append(hashes)
        level, below = level + 1, full
    root = None
    for hashes in pending:
        # From the right: complete subtrees of growing size.
        while hashes:
            width = len(hashes) & -len(hashes)
            subtree, hashes = over(hashes[-width:]), hashes[:-width]
            root = subtree if root is None else node_hash(subtree, root)
    return hashlib.sha256().digest() if root is None else root


def check_folder(folder, key, older):
    """How large the tree is that the tiles have."""
    notes = []
    for path in [os.path.join(folder, "checkpoint")] + older:
        with open(path, encoding="utf-8") as file:
            notes.append((path, checkpoint(file.read(), key)))
    newest = notes[0][1][0]
    for path, (size, root) in notes:
        if size > newest:
            raise NotProved(f"{path} is of {size} events, and the log has {newest}")
        if tree(folder, size) != root:
            raise NotProved(f"the tiles do not lead to the root of {size} events that {path} has")
    return newest


def manifest(package):
    """A package's list of contents: its hash was recorded in the log when the package was made."""
    lines = ["annals-package/v1"] + [str(package[name]) for name in ["request", "subject", "type", "position"]]
    lines += [f"{line['leaf']['position']} {leaf_hash(line['leaf']).hex()}" for line in package["proofs"]["lines"]]
    return hashlib.sha256("".join(line + "\n" for line in lines).encode()).hexdigest()


def statement(jws, key):
    """What a compact JWS says, if the key has signed it. The key that its header carries is never trusted."""
    name, key_id, public = key
    header, payload, signature = jws.split(".")
    decoded = [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in (header, payload, signature)]
    said = json.loads(decoded[0])
    if said["alg"] != "EdDSA" or said.get("kid", f"{name}+{key_id.hex()}") != f"{name}+{key_id.hex()}":
        raise NotProved("the key has not signed the seal")
    if not signed_by(public, f"{header}.{payload}".encode(), decoded[2]):
        raise NotProved("the signature of the seal is not valid")
    return json.loads(decoded[1])


def check_package(package, key):
    """That a package is as it was sealed, and that every event of which it tells is proved."""
    if "seal" not in package:
        raise NotProved("the package has no seal")
    sealed = statement(package["seal"], key)
    package = {name: value for name, value in package.items() if name != "seal"}
    records, reads, lines = package["records"], package["recipients"]["reads"], package["proofs"]["lines"]
    if (sealed["records"], sealed["reads"], sealed["proofs"]) != (len(records), len(reads), len(lines)):
        raise NotProved("the package has fewer or more records, reads or proofs than were sealed")
    if any(sealed[name] != package[name] for name in ["format", "request", "subject", "position", "manifest_sha256"]):
        raise NotProved("the seal is that of another package")
    text = json.dumps(package, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    if hashlib.sha256(text.encode()).hexdigest() != sealed["sha256"]:
        raise NotProved("what the package says is not what was sealed")
    if manifest(package) != package["manifest_sha256"]:
        raise NotProved("the package does not have what its list of contents says")
    proved = {line["leaf"]["position"]: line["leaf"] for line in lines}
    for told in records + reads:
        leaf = proved.get(told["position"])
        if leaf is None:
            raise NotProved(f"position {told['position']} is in the package and not proved")
        of_leaf = (leaf["event_type"], f"{leaf['aggregate_type']}/{leaf['aggregate_id']}")
        if "thing" in told and (told["type"], told["thing"]) != of_leaf:
            raise NotProved(f"position {told['position']} is another event than the one that is proved")


def check(document, lines, key):
    """How many events are proved, in a tree of which size."""
    if document.get("format") == "annals-package/v1":
        check_package(document, key)
        document = document["proofs"]
    elif "events" in document and "proofs" in document:
        document = document["proofs"]
    size, root = checkpoint(document["checkpoint"], key)
    if document["size"] != size:
        raise NotProved("the size is not that of the checkpoint")
    if document["format"] == "annals-proof/v1":
        if document["index"] != document["leaf"]["position"] - 1:
            raise NotProved("the index is not that of the position")
        included(document["leaf"], [base64.b64decode(one, validate=True) for one in document["hashes"]], size, root)
        return 1, size
    if document["format"] != "annals-proofs/v1":
        raise ValueError("this format is not known")
    known, events = [], 0
    for line in document.get("lines", lines):
        known += [base64.b64decode(one, validate=True) for one in line["new"]]
        if any(not 0 <= number < len(known) for number in line["path"]):
            raise NotProved("a proof names a hash that is not there")
        included(line["leaf"], [known[number] for number in line["path"]], size, root)
        events += 1
    return events, size


def main(path, key, *older):
    if os.path.exists(key):
        with open(key, encoding="utf-8") as file:
            key = file.read()
    key = verifier(key)
    try:
        if os.path.isdir(path):
            size = check_folder(path, key, list(older))
            print(f"the tiles are those of the log of {size} events")
            return 0
        with open(path, encoding="utf-8") as file:
            try:
                document = json.loads(file.readline())
            except ValueError:
                file.seek(0)
                document = json.load(file)
            if "from" in document:
                (kept,) = older
                with open(kept, encoding="utf-8") as note:
                    old, old_root = checkpoint(note.read(), key)
                new, new_root = checkpoint(document["checkpoint"], key)
                if (document["from"], document["to"]) != (old, new):
                    raise NotProved(f"the proof is of other sizes than {old} and {new}")
                hashes = [base64.b64decode(one, validate=True) for one in document["hashes"]]
                consistent(old, old_root, new, new_root, hashes)
                print(f"the log of {new} events begins with the log of {old} events")
                return 0
            events, size = check(document, (json.loads(line) for line in file), key)
    except NotProved as error:
        print(f"it proves nothing: {error}")
        return 1
    print(f"{events} events are in the log of {size} events")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"cannot be read: {error!r}", file=sys.stderr)
        sys.exit(2)
