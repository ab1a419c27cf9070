"""Area f: what a learner sends who pasted an object from the documentation and changed one thing too many: an object as YAML, and one line of it written otherwise."""
import yaml
from area_prose import CASES, many, post, step

DRY = {'dryRun': 'All', 'fieldValidation': 'Strict', 'fieldManager': 'kubectl-create'}


def slips(name, path, text, edits, **rest):
    """One request for each edit (old line, new line), as kubectl sends it: JSON if YAML can read it. Every third is sent as YAML, as curl would."""
    steps = []
    for n, edit in enumerate([None, *edits]):
        changed = text
        for old, new in ([] if edit is None else [edit] if isinstance(edit, tuple) else edit):
            assert old in changed, (name, old)
            changed = changed.replace(old, new, 1)
        try:
            body = yaml.safe_load(changed)
        except yaml.YAMLError:
            body = None
        if n % 3 == 2 or not isinstance(body, dict):
            steps.append(step('POST', path, None, DRY, {'Content-Type': 'application/yaml'}, text=changed))
        else:
            steps.append(post(path, body, DRY))
    many(name, steps, **rest)


def cases(random, rounds):
    import area_learner_objects, area_learner_changes, area_learner_cluster, area_prose  # noqa: F401  they register their own
    for name, make in CASES.items():
        if name.startswith('learner-'):
            yield dict(make(), id=name)
