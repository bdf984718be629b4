"""The HTTP side: routes, statuses, streaming, and carrying out a play's steps on the socket."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.ollama_server import gotypes, plays
from tests.ollama_server.library import Library, full_name, is_valid
from tests.ollama_server.openai import Completion, as_error, wanted_format, whole
from tests.ollama_server.running import Run, embedding, truncated

_JSON = "application/json; charset=utf-8"
_PLAIN = "text/plain; charset=utf-8"
_VERSION = "0.32.15"
_QUEUE = 512
_DIMENSIONS = 64
_OPENAI_OPTIONS = {"temperature": "temperature", "seed": "seed", "max_tokens": "num_predict"}


@dataclass(frozen=True, slots=True)
class Received:
    """One request to generate, chat, embed, show or pull."""

    path: str
    body: dict[str, Any]
    play: str


class OllamaServer:
    """A server on a free loopback port.  `play` is one play, or one per request, the last one for all the rest."""

    def __init__(
        self,
        models: Sequence[str] = ("llama2:latest",),
        play: str | Sequence[str] = "normal",
        *,
        port: int = 0,
        thinking: Sequence[str] = (),
        embedding: Sequence[str] = (),
        num_parallel: int = 1,
        max_queue: int = _QUEUE,
        num_ctx: int = 4096,
        say: Callable[[str], str] | None = None,
        key: str | None = None,
        refuses: Sequence[str] = (),
    ) -> None:
        self.library = Library(tuple(models), thinking=tuple(thinking), embedding=tuple(embedding))
        self.requests: list[Received] = []
        self.embedded: list[str] = []  # texts that were made vectors of
        self.stopping = threading.Event()
        self.default_num_ctx = num_ctx
        self.say = say  # of the prompt; in place of the answer of the play "normal"
        self.key = key  # that /v1 asks for
        self.refuses = tuple(refuses)  # fields, and forms of an answer, that /v1 does not know
        self.slots = threading.Semaphore(num_parallel)
        self.max_queue = max_queue
        self.waiting = 0
        self.lock = threading.Lock()
        self._script: list[str] = []
        self.play(play)
        self._http = _Listener(("127.0.0.1", port), _Handler, self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._http.server_port}"

    def play(self, play: str | Sequence[str]) -> None:
        """Change the play from the next request on.  Raises KeyError for an unknown one."""
        script = play.split(",") if isinstance(play, str) else list(play)
        for name in script:
            plays.PLAYS[name.partition(":")[0]]
        with self.lock:
            self._script = script

    def next_play(self) -> str:
        """The play for the request at hand."""
        with self.lock:
            return self._script.pop(0) if len(self._script) > 1 else self._script[0]

    def start(self) -> Self:
        """Serve, in the background."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving; what still hangs is let go."""
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], ollama: OllamaServer) -> None:
        super().__init__(address, handler)
        self.ollama = ollama

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


class _Gone(Exception):
    """The connection is over."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener
    _body: dict[str, Any]

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _route(self) -> None:
        path = self.path.partition("?")[0]
        known = _ROUTES.get(path)
        if not _is_own_name(self.headers.get("Host", "")):
            self._send(403, b"", _PLAIN)
        elif known is None:
            self._send(404, b"404 page not found", _PLAIN)
        elif self.command not in known:
            self._send(405, b"405 method not allowed", _PLAIN)
        else:
            try:
                known[self.command](self)
            except (_Gone, ConnectionError):
                self.close_connection = True

    do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _route

    def root(self) -> None:
        self._send(200, b"Ollama is running", _PLAIN)

    def version(self) -> None:
        self._json(200, {"version": _VERSION})

    def tags(self) -> None:
        self._json(200, {"models": self._ollama.library.tags()})

    def ps(self) -> None:
        self._json(200, {"models": self._ollama.library.running()})

    def show(self) -> None:
        with self._decoded("ShowRequest") as body:
            name = str(body.get("model") or body.get("name") or "")
            if found := self._ollama.library.find(name):
                self._json(200, self._ollama.library.show(found))
            else:
                self._error(404, f"model '{name}' not found")

    def embed(self) -> None:
        with self._decoded("EmbedRequest") as body:
            given = body.get("input")
            texts = [given] if isinstance(given, str) else [] if given is None else given
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise gotypes.BadRequest("invalid input type")
            name = self._found(body)
            tokens = sum(len(text) // 4 + 1 for text in texts)
            if body.get("truncate") is False and tokens > self._num_ctx(body):
                raise gotypes.BadRequest("the input length exceeds the context length")
            self._ollama.embedded += texts
            vectors = [embedding(text, int(body.get("dimensions") or _DIMENSIONS)) for text in texts if text]
            took = {"total_duration": 1_200_000, "load_duration": 900_000, "prompt_eval_count": tokens}
            self._json(200, {"model": name, "embeddings": vectors, **({} if not texts else took)})

    def pull(self) -> None:
        with self._decoded("PullRequest") as body:
            name = str(body.get("model") or body.get("name") or "")
            missing = "missing" in name or not is_valid(name)
            lines: list[dict[str, object]] = [{"status": "pulling manifest"}]
            if missing:
                lines.append({"error": "pull model manifest: file does not exist"})
            else:
                digest = "8934d96d3f08"
                layer = {"status": f"pulling {digest}", "digest": f"sha256:{digest.ljust(64, '0')}", "total": 2048}
                lines += [layer, {**layer, "completed": 1024}, {**layer, "completed": 2048}]
                ends = ("verifying sha256 digest", "writing manifest", "success")
                lines += [{"status": status} for status in ends]
                self._ollama.library.add(name)
            if body.get("stream") is not False:
                self._begin_stream()
                for line in lines:
                    self._chunk(json.dumps(line).encode() + b"\n")
                self._end_stream()
            elif missing:
                self._error(500, "pull model manifest: file does not exist")
            else:
                self._json(200, {"status": "success"})

    def generate(self) -> None:
        with self._decoded("GenerateRequest") as body:
            prompt = str(gotypes.field(body, "prompt", str, "GenerateRequest") or "")
            system = str(gotypes.field(body, "system", str, "GenerateRequest") or "")
            gotypes.field(body, "raw", bool, "GenerateRequest")
            logprobs = gotypes.field(body, "top_logprobs", int, "GenerateRequest")
            if isinstance(logprobs, int) and not 0 <= logprobs <= 20:
                raise gotypes.BadRequest("top_logprobs must be between 0 and 20")
            messages = [{"role": "system", "content": system}] * bool(system) + [{"role": "user", "content": prompt}]
            self._run(body, messages if prompt else [], is_chat=False)

    def chat(self) -> None:
        with self._decoded("ChatRequest") as body:
            messages = gotypes.field(body, "messages", list, "ChatRequest") or []
            assert isinstance(messages, list)
            for message in messages:
                if not isinstance(message, dict) or not isinstance(message.get("content", ""), str):
                    raise gotypes.BadRequest(
                        "json: cannot unmarshal value into Go struct field ChatRequest.messages of type api.Message"
                    )
            name = str(body.get("model") or "")
            if not name or not is_valid(name):
                self._error(400, "model is required")
            elif body.get("tools") and "tools" not in self._ollama.library.capabilities(name):
                self._error(400, f"registry.ollama.ai/library/{full_name(name)} does not support tools")
            else:
                self._run(body, messages, is_chat=True)

    def completions(self) -> None:
        with self._decoded("ChatCompletionRequest") as body:
            if not self._may_pass():
                return
            form = (body.get("response_format") or {}).get("type")
            unknown = next((name for name in self._ollama.refuses if name in body or name == form), None)
            if unknown is not None:
                self._error(400, f"Unsupported parameter: '{unknown}'")
                return
            asked = {
                "model": body.get("model"),
                "stream": body.get("stream") is True,
                "format": wanted_format(body),
                "options": {name: body[key] for key, name in _OPENAI_OPTIONS.items() if key in body},
            }
            self._run(asked, body.get("messages") or [], is_chat=True, sent=body)

    def embeddings(self) -> None:
        with self._decoded("EmbeddingRequest") as body:
            if not self._may_pass():
                return
            name = self._found(body)
            given = body.get("input")
            texts = [given] if isinstance(given, str) else given or []
            self._ollama.embedded += texts
            data = [
                {"object": "embedding", "index": place, "embedding": embedding(text, _DIMENSIONS)}
                for place, text in enumerate(texts)
            ]
            self._json(200, {"object": "list", "model": name, "data": data[::-1]})

    def models(self) -> None:
        if self._may_pass():
            tags = self._ollama.library.tags()
            known = [{"id": each["name"], "object": "model", "owned_by": "library"} for each in tags]
            self._json(200, {"object": "list", "data": known})

    def _may_pass(self) -> bool:
        key = self._ollama.key
        if key is None or self.headers.get("Authorization") == f"Bearer {key}":
            return True
        self._error(401, "Incorrect API key provided")
        return False

    def control(self) -> None:
        with self._decoded("Control") as body:
            self._ollama.play(body["play"])
            self._json(200, {"play": body["play"]})

    def received(self) -> None:
        asked = [{"path": one.path, "body": one.body, "play": one.play} for one in self._ollama.requests]
        self._json(200, {"requests": asked})

    def _run(
        self, body: dict[str, Any], messages: list[dict[str, str]], *, is_chat: bool, sent: dict[str, Any] | None = None
    ) -> None:
        request = "ChatRequest" if is_chat else "GenerateRequest"
        stream = gotypes.field(body, "stream", bool, request) is not False
        given = gotypes.field(body, "options", dict, request) or {}
        keep_alive_s = gotypes.keep_alive_s(body.get("keep_alive"))
        think = gotypes.think(body.get("think"))
        assert isinstance(given, dict)
        name = self._found(body)
        can = self._ollama.library.capabilities(name)
        if "completion" not in can:
            return self._error(400, f'"{body["model"]}" does not support {"chat" if is_chat else "generate"}')
        if think and "thinking" not in can:
            return self._error(400, f'"{body["model"]}" does not support thinking')
        options = gotypes.options(given)
        num_ctx = self._num_ctx({"options": options})
        if not messages:
            self._ollama.library.load(name, keep_alive_s=keep_alive_s, num_ctx=num_ctx)
            reason = "unload" if keep_alive_s == 0 else "load"
            return self._json(200, Run(name, is_chat=is_chat).line("", done_reason=reason))
        play = self._ollama.next_play()
        self._ollama.requests.append(Received(self.path, sent or body, play))
        with self._slot():
            loaded = self._ollama.library.load(name, keep_alive_s=keep_alive_s, num_ctx=num_ctx)
            kept, prompt_tokens = truncated(messages, num_ctx)
            if body.get("truncate") is False and len(kept) < len(messages):
                return self._error(400, "the input length exceeds the context length")
            wanted = body.get("format")
            if wanted not in (None, "", "json") and not isinstance(wanted, dict):
                raw = json.dumps(wanted)
                return self._error(
                    500, f'invalid format: "{raw}"; expected "json" or a valid JSON Schema object'.replace('""', '"')
                )
            run = (Run if sent is None else Completion)(
                name,
                is_chat=is_chat,
                prompt_tokens=prompt_tokens,
                loaded=loaded,
                raw=bool(body.get("raw")),
                most=int(str(options.get("num_predict", -1))),
                think=think,
            )
            prompt = "\n".join(str(message.get("content", "")) for message in kept)
            steps = plays.steps(play, prompt, wanted)
            if self._ollama.say is not None and play == "normal":
                steps = iter([*plays.pieces(self._ollama.say(prompt)), plays.Done()])
            self._perform(run, run.limited(steps), stream=stream)
        return None

    def _perform(self, run: Run, steps: Iterable[plays.Step], *, stream: bool) -> None:
        """Carry out a play: streamed, or gathered into one object."""
        gathered = ""
        for step in steps:
            match step:
                case plays.Status():
                    return self._send(step.code, step.body, step.content_type)
                case plays.Pause():
                    self._rest(step.seconds)
                case plays.Text() if stream:
                    self._line(run, run.line(step.content, thinking=step.thinking))
                case plays.Text():
                    gathered += step.content
                case plays.Raw():
                    self._begin_stream(run.content_type)
                    self._chunk(step.data)
                case plays.Done() if stream:
                    self._line(run, run.line("", done_reason=step.reason))
                    return self._end_stream(run.end)
                case plays.Done():
                    line = run.line(gathered, done_reason=step.reason)
                    return self._json(200, whole(line) if isinstance(run, Completion) else line)
                case plays.Broken() if stream:
                    self._line(run, run.broken(step.error))
                    return self._end_stream()
                case plays.Broken():
                    return self._error(500, step.error)
                case plays.Cut():
                    return self._reset()
        if stream:
            return self._end_stream()
        return self._json(200, run.line(gathered))

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._ollama.stopping.wait(min(left, 0.05)) or self._client_left():
                raise _Gone

    def _client_left(self) -> bool:
        try:
            return not self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    @contextlib.contextmanager
    def _slot(self) -> Iterator[None]:
        """One of the model's few places; the others wait in silence, and too many are sent away."""
        ollama = self._ollama
        with ollama.lock:
            ollama.waiting += 1
            full = ollama.waiting > ollama.max_queue
        try:
            if full:
                self._error(503, plays.BUSY)
                raise _Gone
            while not ollama.slots.acquire(timeout=0.05):
                if ollama.stopping.is_set() or self._client_left():
                    raise _Gone
        finally:
            with ollama.lock:
                ollama.waiting -= 1
        try:
            yield
        finally:
            ollama.slots.release()

    @contextlib.contextmanager
    def _decoded(self, request: str) -> Iterator[dict[str, Any]]:
        """The body, and the status of whatever is wrong with it."""
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if not raw:
                raise gotypes.BadRequest("missing request body")
            body = _decode(raw, request)
            gotypes.field(body, "model", str, request)
            yield body
        except gotypes.BadRequest as error:
            self._error(400, str(error))
        except gotypes.BadOption as error:
            self._error(500, str(error))
        except _Missing as error:
            self._error(404, f"model '{error}' not found")

    def _found(self, body: dict[str, Any]) -> str:
        name = str(body.get("model") or "")
        found = self._ollama.library.find(name) if is_valid(name) else None
        if found is None:
            raise _Missing(name)
        return found

    def _num_ctx(self, body: dict[str, Any]) -> int:
        options = body.get("options") or {}
        return int(options.get("num_ctx") or self._ollama.default_num_ctx)

    @property
    def _ollama(self) -> OllamaServer:
        return self.server.ollama

    def _error(self, status: int, text: str) -> None:
        self._json(status, as_error(text) if self.path.startswith("/v1/") else {"error": text})

    def _json(self, status: int, body: object) -> None:
        self._send(status, json.dumps(body).encode(), _JSON)

    def _send(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _line(self, run: Run, line: dict[str, Any]) -> None:
        self._begin_stream(run.content_type)
        self._chunk(run.encoded(line))

    def _begin_stream(self, content_type: str = Run.content_type) -> None:
        if getattr(self, "_streaming", False):
            return
        self._streaming = True
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        if self._ollama.stopping.is_set():
            raise _Gone
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _end_stream(self, last: bytes = b"") -> None:
        self._begin_stream()
        if last:
            self._chunk(last)
        self.wfile.write(b"0\r\n\r\n")
        self._streaming = False

    def _reset(self) -> None:
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        raise _Gone


class _Missing(Exception):
    """No such model."""


def _decode(raw: bytes, request: str) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError as error:
        position = getattr(error, "pos", 0)
        rest = raw.decode("utf-8", "replace")[position : position + 1]
        raise gotypes.BadRequest(
            f"invalid character '{rest}' looking for beginning of value" if rest else "unexpected EOF"
        ) from None
    if not isinstance(body, dict):
        raise gotypes.BadRequest(f"json: cannot unmarshal value into Go value of type api.{request}")
    return body


def _is_own_name(host: str) -> bool:
    """The server's guard against DNS rebinding: on loopback it answers to local names only."""
    name = host.rsplit(":", 1)[0].strip("[]").lower()
    if name in ("localhost", socket.gethostname().lower()) or name.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_private or address.is_unspecified


_ROUTES: dict[str, dict[str, Callable[[_Handler], None]]] = {
    "/": {"GET": _Handler.root, "HEAD": _Handler.root},
    "/api/version": {"GET": _Handler.version, "HEAD": _Handler.version},
    "/api/tags": {"GET": _Handler.tags, "HEAD": _Handler.tags},
    "/api/ps": {"GET": _Handler.ps},
    "/api/show": {"POST": _Handler.show},
    "/api/embed": {"POST": _Handler.embed},
    "/api/pull": {"POST": _Handler.pull},
    "/api/generate": {"POST": _Handler.generate},
    "/api/chat": {"POST": _Handler.chat},
    "/v1/chat/completions": {"POST": _Handler.completions},
    "/v1/embeddings": {"POST": _Handler.embeddings},
    "/v1/models": {"GET": _Handler.models},
    "/_control": {"POST": _Handler.control},
    "/_requests": {"GET": _Handler.received},
}
