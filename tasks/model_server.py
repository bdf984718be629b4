"""Which model server do the settings name?"""

from __future__ import annotations

from llm.model_server import ModelServer
from sensus.settings import Settings


def model_server(settings: Settings) -> ModelServer:
    """The server that explains incidents, with its models in the order of preference."""
    key = settings.llm_key
    return ModelServer(
        api=settings.llm_api,
        url=settings.model_url(),
        models=settings.llm_models(),
        num_ctx=settings.llm_num_ctx,
        key=None if key is None else key.get_secret_value(),
    )
