"""`/docs` and `/redoc`: the OpenAPI document for people.

Scripts come with the requirements, and none stands in a page. So the policy of a page allows no
other site, and no script or style that is written into it.
"""

from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from serve.edge.problems import ProblemError

routes = APIRouter(include_in_schema=False)

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Stock forecasts</title>
<link rel="icon" href="data:,">
{head}
</head>
<body>
{body}
</body>
</html>
"""

# Addresses are relative, for a server below a path of another one.
_DOCS = _PAGE.format(
    head='<link rel="stylesheet" href="docs/swagger-ui.css">',
    body='<div id="page"></div>\n<script src="docs/swagger-ui-bundle.js"></script>\n'
    '<script src="docs/start.js"></script>',
)
_REDOC = _PAGE.format(
    head='<link rel="stylesheet" href="redoc/page.css">',
    # Its search would need a worker made of a text.
    body='<redoc spec-url="openapi.json" disable-search="true"></redoc>\n'
    '<script src="redoc/redoc.standalone.js"></script>',
)

_OWN = {
    # Without `validatorUrl` the document's address would be sent to swagger.io.
    "start.js": 'SwaggerUIBundle({url: "openapi.json", dom_id: "#page", deepLinking: true, '
    "validatorUrl: null});\n",
    "page.css": "body { margin: 0; }\n",
}

_LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"
_NO_LOGO = b"data:image/gif;base64,R0lGODlhAQABAAAAACw="

_TYPES = {"css": "text/css", "js": "text/javascript"}

_STYLES = (
    # Redoc fills empty style elements as it runs, and writes one itself.
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
    "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='",
)
_SELF = "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:"
_NOTHING = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
POLICIES = {
    "docs": f"{_SELF}; style-src 'self'; {_NOTHING}",
    "redoc": f"{_SELF}; style-src 'self' {' '.join(_STYLES)}; {_NOTHING}",
}
"""The Content-Security-Policy of each page."""

ASSETS = {
    "docs": ("swagger-ui.css", "swagger-ui-bundle.js", "start.js"),
    "redoc": ("page.css", "redoc.standalone.js"),
}


@routes.get("/docs")
async def docs(request: Request) -> Response:
    """Swagger UI: every endpoint, to try out."""
    return _page(request, "docs", _DOCS)


@routes.get("/redoc")
async def redoc(request: Request) -> Response:
    """Redoc: every endpoint, to read."""
    return _page(request, "redoc", _REDOC)


@routes.get("/docs/{name}")
async def docs_asset(name: str) -> Response:
    """What the page loads."""
    return _asset("docs", name)


@routes.get("/redoc/{name}")
async def redoc_asset(name: str) -> Response:
    """What the page loads."""
    return _asset("redoc", name)


def _page(request: Request, name: str, content: str) -> Response:
    request.scope["policy"] = POLICIES[name]
    return Response(content, media_type="text/html")


def _asset(page: str, name: str) -> Response:
    if name not in ASSETS[page]:
        raise ProblemError(404, f"unknown file; the page is /{page}", "unknown-path")
    return Response(_content(name), media_type=_TYPES[name.rpartition(".")[2]])


@cache
def _content(name: str) -> bytes:
    if name in _OWN:
        return _OWN[name].encode()
    content = files("fastapi_offline").joinpath("static", name).read_bytes()
    # The policy would refuse it.
    return content.replace(_LOGO, _NO_LOGO)
