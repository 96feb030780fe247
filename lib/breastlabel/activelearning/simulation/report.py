"""The simulation's ``report.html`` and ``curves.png``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from breastlabel.activelearning.simulation.curves import (
    BASELINE,
    MEASURES,
    beats_random,
    worse_than_random,
)
from breastlabel.activelearning.simulation.figures import (
    SHORT,
    curves_figure,
    differences_figure,
    png,
    svg_uri,
)
from breastlabel.evaluation.report import RESEARCH_USE, render
from breastlabel.imaging.atomic import write_bytes_atomically

__all__ = ["findings", "write_simulation_report"]


def write_simulation_report(folder: Path, curves: Mapping[str, Any]) -> None:
    """Write both from the content of ``curves.json``."""
    defined = [m for m in MEASURES if curves["area_under_curve"][m]]
    figure = curves_figure(curves, measures=defined or list(MEASURES), reference=curves["reference"])
    areas = {m: a for m, a in curves["area_under_curve"].items() if a}
    compared = len(curves["strategies"]) > 1
    settings = curves["settings"]
    html = render(
        "simulation.html.j2",
        research_use=RESEARCH_USE,
        curves=curves,
        titles=SHORT,
        baseline=BASELINE,
        facts={
            "Model": curves["model"],
            "Studies": curves["studies"],
            "Train split": f"{settings['n_train']} images, labels hidden",
            "Labels": f"{settings['initial']} + {settings['rounds']} × {settings['batch']}",
            "Seeds": ", ".join(map(str, settings["seeds"])),
            "Image size": " × ".join(map(str, settings["size"])),
            "Steps a training": f"{settings['steps']} of {settings['batch_size']} images",
            "Chooses the strategy": f"val, {settings['n_val']} images",
            "Measures it": f"test, {settings['n_test']} images",
        },
        findings=findings(curves),
        learning_curves=svg_uri(figure),
        differences=svg_uri(differences_figure(areas)) if areas and compared else None,
    )
    write_bytes_atomically(folder / "report.html", html.encode())
    write_bytes_atomically(folder / "curves.png", png(figure))


def findings(curves: Mapping[str, Any]) -> list[str]:
    """What was found, in plain sentences; the first says whether chance was beaten."""
    settings = curves["settings"]
    sentences = [_beaten(curves), _chosen(curves), _full(curves)]
    if len(settings["seeds"]) < 5:
        n = len(settings["seeds"])
        sentences.append(
            f"{n} seeds are few: differences that more would show may be missed."
            if n > 1
            else "One seed cannot tell a strategy from chance."
        )
    if settings["seeds"] != settings["seeds_asked"]:
        sentences.append(
            f"The time was up after {len(settings['seeds'])} of {len(settings['seeds_asked'])} seeds; the "
            "same command goes on."
        )
    return [sentence for sentence in sentences if sentence]


def _beaten(curves: Mapping[str, Any]) -> str:
    if len(curves["strategies"]) == 1:
        return "Only random was replayed; there is nothing to compare."
    better = _by_measure(curves, beats_random)
    worse = _by_measure(curves, worse_than_random)
    sentence = (
        f"Beat random on the test split: {better}."
        if better
        else "No strategy beat random on the test split: for none is the area under the learning curve "
        "larger with an adjusted p below 0.05."
    )
    return f"{sentence} Worse than random: {worse}." if worse else sentence


def _by_measure(curves: Mapping[str, Any], judge: Callable[[Mapping[str, Any]], list[str]]) -> str:
    areas = curves["area_under_curve"]
    found = {measure: judge(of) for measure, of in areas.items() if of}
    return "; ".join(f"{_and(names)} in {SHORT[measure]}" for measure, names in found.items() if names)


def _chosen(curves: Mapping[str, Any]) -> str:
    chosen = curves["chosen"]["strategy"]
    if len(curves["strategies"]) == 1:
        return ""
    if chosen == BASELINE:
        return "On the val split none was surely better than random either, so the choice is random."
    sentence = f"The val split chooses {chosen}"
    for measure in MEASURES:
        saved = (curves["labels_saved"][measure] or {}).get(chosen)
        if not saved:
            continue
        if saved["labels"] is None:
            sentence += f"; on the test split it does not reach random’s final {SHORT[measure]}"
        else:
            verb = "saves" if saved["labels"] >= 0 else "costs"
            sentence += (
                f"; on the test split it {verb} {abs(saved['labels']):.0f} of {saved['random_labels']:.0f} "
                f"labels at equal {SHORT[measure]}"
            )
    return sentence + "."


def _full(curves: Mapping[str, Any]) -> str:
    dice = curves["reference"]["dice"]
    last = curves["strategies"][BASELINE]["dice_mean"][-1]
    if dice is None or last is None:
        return ""
    longer = curves["reference"]["longer"]["dice"]["mean"]
    settings = curves["settings"]
    n = curves["n_labels"][-1]
    return (
        f"All {settings['n_train']} labels give Dice {dice['mean']:.3f} ({dice['ci95'][0]:.3f} to "
        f"{dice['ci95'][1]:.3f}) after {settings['steps']} steps and {longer:.3f} after "
        f"{settings['reference_steps']}; random’s {n} labels give {last['mean']:.3f} after "
        f"{settings['steps']}."
    )


def _and(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
