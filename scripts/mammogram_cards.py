"""What the model cards of the shipped systems for mammography say; filled in by `train-mammograms`."""

from __future__ import annotations

__all__ = ["CARD", "FOLDS", "PHANTOMS_ONLY", "TERMS", "VIEWS"]

CARD = """
## How it was trained

From random weights, by `scripts/train-mammograms`, one CPU core, in these stages:

{stages}

## Figures on the test splits

Images that neither training nor any choice has seen, split by patient. Means with 95 % intervals, percentile
bootstrap over patients, 1,000 resamples, seed 0, cpu; classes are counted by breast, outlines by image.
Figures on phantoms say that the software works, not how good it is on people.

{table}
"""

FOLDS = """
## Real patients, cross-validated

On all patients of mini-MIAS (films, one view a breast), by the same recipe: {n} trainings from one phantom
checkpoint, each on all patients but a part, which is then measured. Nothing was chosen on the measured part.

{table}

mini-MIAS gives circles, not outlines, so its Dice is bounded by how round lesions are.
"""

VIEWS = """
## What the second view and the prior are worth

On phantoms frozen beforehand, with the stage trained on phantoms alone ({checkpoint}):

{table}"""

TERMS = """
## Data and terms

**Research use only**: the weights have seen mini-MIAS, whose licence allows research only.

- mini-MIAS: Suckling et al., The Mammographic Image Analysis Society digital mammogram database, Exerpta
  Medica, International Congress Series 1069 (1994) 375; research only. 120 of its 322 films, of 60 patients.
- CDD-CESM: Khaled et al., Categorized contrast enhanced mammography dataset, Scientific Data 9 (2022) 122;
  doi 10.7937/29kw-ae92, its data usage policy. A resized sample of 24 images; the subtracted ones are left
  out.
- Phantoms drawn by this project.
- No image of the first two is part of this repository.

## What it is not good at

- Real data are very few, films of one scanner for the most part, with no priors and no second view.
- At this resolution single calcifications cannot be seen, and clusters hardly.
- Two views and priors are read together, but no gain from them has been shown: see above.
- It is too weak to help a reader. It is a start for training on a site's own data.
"""

PHANTOMS_ONLY = """
## Data and terms

Phantoms drawn by this project, nothing else. **It has never seen a person's mammogram**: it shows that the
system runs, and is the start for a training on real data; its answers on real images mean nothing.
"""
