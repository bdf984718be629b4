"""Why a model gave no usable answer, said in exceptions that carry facts and never what was sent or received."""

from __future__ import annotations


class LLMError(Exception):
    """The model gave no usable answer; the same question may fare better later.

    The message is one line, fit for a user.
    """

    permanent = False


class ModelUnreachable(LLMError):
    """Nothing listens at the address, or the way to it is cut."""

    def __init__(self, url: str) -> None:
        super().__init__(f"no model server answers at {url}")
        self.url = url


class ModelMissing(LLMError):
    """The server is there, but does not have the model."""

    permanent = True  # asking again will not install it

    def __init__(self, model: str, hint: str) -> None:
        super().__init__(f"the model server has no model {model!r}; {hint}")
        self.model = model


class ModelBusy(LLMError):
    """The server's queue is full."""

    def __init__(self, model: str) -> None:
        super().__init__(f"the model server is too busy to run {model!r}")
        self.model = model


class ModelTimeout(LLMError):
    """The whole answer was not there when the time was up."""

    def __init__(self, deadline_s: float, received_bytes: int) -> None:
        how_far = "in the middle of its answer" if received_bytes else "before its first word"
        super().__init__(f"the model was stopped after {deadline_s:.3g} s, {how_far}")
        self.deadline_s = deadline_s
        self.received_bytes = received_bytes


class ModelFailed(LLMError):
    """The server broke off or broke down.  `status` is the HTTP status, None when it is not about one."""

    def __init__(self, what: str, *, status: int | None = None) -> None:
        super().__init__(f"the model server failed: {what}")
        self.status = status


class ModelRefused(LLMError):
    """The server will not serve this caller or this request, whenever it is asked."""

    permanent = True

    def __init__(self, status: int, hint: str) -> None:
        super().__init__(f"the model server refused the request with status {status}; {hint}")
        self.status = status


class ReplyUnusable(LLMError):
    """The model answered, but not with something that can be believed.

    `why` is one clause that can be shown to a user and sent back to the model for a repair.
    """

    def __init__(self, why: str) -> None:
        super().__init__(f"the model's answer could not be used: {why}")
        self.why = why
