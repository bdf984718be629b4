"""Which detector scores which series: the choices that people made."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from db.models.detection import DetectorChoice
from db.queries import detector_choices
from sensus.settings import DETECTORS
from web import acts, listing
from web.access import access, caller
from web.arguments import StrictBlueprint
from web.resources import resources
from web.schemas import selector
from web.schemas.detectors import ChoiceAnswer, ChoiceBody, ChoicesAnswer, ChoicesQuery

blueprint = StrictBlueprint("detectors", __name__, url_prefix="/api/v1", description="Detectors and what they score")


@blueprint.get("/detectors")
@access("read")
@blueprint.arguments(ChoicesQuery, location="query")
@blueprint.response(200, ChoicesAnswer)
@blueprint.doc(summary="Series that another detector scores than the rest, newest choice first")
def choices(query: dict[str, Any]) -> dict[str, Any]:
    with resources().database.transaction() as session:
        found = detector_choices.newest_first(session, limit=query["limit"] + 1, before_id=listing.before_id(query))
    page = listing.answer(found, query["limit"], lambda choice: (choice.id,))
    return {"default": resources().settings.detector, "available": DETECTORS, **page}


@blueprint.post("/detectors")
@access("admin")
@blueprint.arguments(ChoiceBody)
@blueprint.response(201, ChoiceAnswer)
@blueprint.doc(summary="Let a detector score the series of a selector")
def choose(body: dict[str, Any]) -> DetectorChoice:
    """It holds for the samples that are scored from now on, and takes the place of the choice for the same selector."""
    with resources().database.transaction() as session:
        chosen = detector_choices.choose(session, body["selector"], body["detector"], by=caller().identity)
        _record(session, "detector_chosen", chosen)
    resources().background.relay()
    return chosen


@blueprint.delete("/detectors/<int:choice_id>")
@access("admin")
@blueprint.response(204)
@blueprint.doc(summary="Forget a choice")
def withdraw(choice_id: int) -> None:
    """An older choice, else the detector of the settings, scores these series from now on."""
    with resources().database.transaction() as session:
        _record(session, "detector_withdrawn", detector_choices.withdraw(session, choice_id))
    resources().background.relay()


def _record(session: Session, action: str, choice: DetectorChoice) -> None:
    facts = {"id": choice.id, "match": selector.written(detector_choices.selector_of(choice))}
    acts.record(session, action, subject=f"detector:{choice.detector}", facts=facts)
