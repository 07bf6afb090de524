"""The files of the page: they lie in this package as a browser reads them; nothing builds or fetches them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

from hsrgeo.gis.view.index import Json
from hsrgeo.outputs.names import PAGE, PAGE_FOLDER

MARK = b'<meta name="generator" content="hsrgeo view">'
"""What hsrgeo's own pages hold."""

OWN_INDEX = re.compile(r"(view|grid-\d+|frames-\d+-\d{4,8})\.json")
"""Names of the files in `PAGE_FOLDER` that are of one folder alone."""

_MAIN = "app.js"
_STYLE = "app.css"
_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([^"]+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (async function|function|class|const|var) (\w+)", re.MULTILINE)
_EXPORT_LIST = re.compile(r"^export \{([^}]*)\};$", re.MULTILINE)
_POLICY = re.compile(r'(<meta http-equiv="Content-Security-Policy" content=")[^"]*(">)')
_LINKS = re.compile(r'<link rel="(?:stylesheet|modulepreload)"[^>]*>\n?|<script type="module"[^>]*></script>')


@cache
def page_files() -> dict[str, bytes]:
    """Return the files of the page that are the same for every folder, by path."""
    found = {}
    root = resources.files("hsrgeo.gis.view").joinpath("page")
    for folder, prefix in ((root, ""), (root.joinpath("vendor"), "vendor/")):
        for file in sorted(folder.iterdir(), key=lambda one: one.name):
            if file.is_file():
                path = prefix + file.name
                found[path if path == PAGE else f"{PAGE_FOLDER}/{path}"] = file.read_bytes()
    return found


def json_bytes(value: Json) -> bytes:
    """Return a file of the index; the same input gives the same bytes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def one_file(index: Mapping[str, bytes], heads: Mapping[str, bytes]) -> bytes:
    """Return the page with all that it shows as one HTML file, which asks for nothing else.

    `index` has the files of the index by path, `heads` the first bytes of each COG.
    """
    files = {path.removeprefix(f"{PAGE_FOLDER}/"): data.decode() for path, data in page_files().items()}
    script, style = bundled(files, _MAIN), files[_STYLE]
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, style)]
    hashes = [f"'sha256-{digest}'" for digest in digests]
    policy = f"default-src 'none'; script-src {hashes[0]}; style-src {hashes[1]}; img-src data: blob:; base-uri 'none'"
    page = _POLICY.sub(lambda match: match[1] + policy + match[2], files[PAGE])
    start, end = _LINKS.sub("", page).split("</head>")
    credit = files["vendor/fzstd.LICENSE"]
    return b"".join(
        (
            f"{start}<style>{style}</style>\n<!-- fzstd, in the script below:\n{credit}\n-->\n</head>".encode(),
            end.replace("</body>\n</html>\n", "").encode(),
            b'<script type="application/json" id="embedded">',
            b'{"index":{',
            b",".join(_text(path) + b":" + _without_tags(data.strip()) for path, data in index.items()),
            b'},"heads":{',
            b",".join(_text(path) + b':"' + base64.b64encode(data) + b'"' for path, data in heads.items()),
            b"}}</script>\n",
            f'<script type="module">{script}</script>\n</body>\n</html>\n'.encode(),
        )
    )


def _text(text: str) -> bytes:
    return _without_tags(json.dumps(text, ensure_ascii=False).encode())


def _without_tags(data: bytes) -> bytes:
    """Return JSON that neither ends a script nor begins a comment in one (HTML, "restrictions for script elements")."""
    return data.replace(b"<", b"\\u003c")


def bundled(files: Mapping[str, str], main: str) -> str:
    """Return one script of a module and all that it imports, each in a function of its own: names cannot clash."""
    order: list[str] = []

    def visit(path: str) -> None:
        for match in _IMPORT.finditer(files[path]):
            if match[2] not in order:
                visit(match[2])
        order.append(path)

    visit(main)
    names = {path: f"module{number}" for number, path in enumerate(order)}
    return "".join(_wrapped(files[path], names, names[path]) for path in order)


def _wrapped(source: str, names: Mapping[str, str], name: str) -> str:
    exported = [match[2] for match in _EXPORT.finditer(source)]
    exported += [word.strip() for match in _EXPORT_LIST.finditer(source) for word in match[1].split(",")]
    body = _IMPORT.sub(lambda match: f"const {{{match[1]}}} = {names[match[2]]};", source)
    body = _EXPORT_LIST.sub("", _EXPORT.sub(r"\1 \2", body))
    return f"const {name} = (() => {{\n{body}\nreturn {{ {', '.join(dict.fromkeys(exported))} }};\n}})();\n"
