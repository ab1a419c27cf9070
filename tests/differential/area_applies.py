"""Area 5: several managers apply, update and patch one object in turn; every answer with its managedFields is compared."""
import copy
from area_bad_input import named
from area_crud import SKIP, calm
from facts import definitions, resources, samples
from mutate import Mutator

APPLY = {'Content-Type': 'application/apply-patch+yaml'}


def cut(random, value, depth=0):
    """A part of an object, as an applier that cares for less would send it."""
    if isinstance(value, dict):
        keep = {'name', 'apiVersion', 'kind', 'metadata', 'spec', 'containers', 'template', 'containerPort', 'port', 'key', 'selector', 'mountPath', 'image', 'type', 'matchLabels', 'ip', 'uid'}
        return {k: cut(random, v, depth + 1) for k, v in value.items() if k in keep or random.random() < 0.7}
    if isinstance(value, list):
        out = [cut(random, v, depth + 1) for v in value if random.random() < 0.85]
        if random.random() < 0.2:
            random.shuffle(out)
        return out
    return value


def cases(random, rounds):
    mutator = Mutator(random)
    for kind, known in samples().items():
        resource = resources()[kind]
        if 'update' not in resource.verbs or kind[1] in SKIP - {'FlowSchema'}:
            continue
        for turn in range(rounds):
            label, base = random.choice(known)
            body = calm(named(base, kind))
            body['metadata'].pop('generateName', None)
            body['metadata'].setdefault('name', 'x')
            at = f"{resource.path()}/{body['metadata']['name']}"
            steps = []
            for n in range(random.choice([4, 6, 9])):
                who = random.choice(['gm-a', 'gm-a', 'gm-b', 'gm-c'])
                other = mutator.change(body, definitions()[kind], times=random.choice([0, 1, 1, 2]), wild=0.02) if n else body
                roll = random.random()
                query = {'fieldManager': who}
                if random.random() < 0.4:
                    query['force'] = 'true'
                if random.random() < 0.15:
                    query['dryRun'] = 'All'
                if roll < 0.72 or n == 0 and roll < 0.85:
                    steps.append({'method': 'PATCH', 'path': at, 'query': query, 'headers': APPLY, 'body': cut(random, other) if n and random.random() < 0.6 else other, 'keep': ['managedFields']})
                    continue
                query.pop('force', None)
                if n == 0:
                    steps.append({'method': 'POST', 'path': resource.path(), 'query': query, 'body': other, 'keep': ['managedFields']})
                elif roll < 0.86:
                    steps.append({'method': 'PUT', 'path': at, 'query': query, 'body': other, 'keep': ['managedFields']})
                else:
                    steps.append({'method': 'PATCH', 'path': at, 'query': query, 'headers': {'Content-Type': 'application/merge-patch+json'}, 'body': {k: v for k, v in cut(random, other).items() if k not in ('apiVersion', 'kind')}, 'keep': ['managedFields']})
            steps.append({'method': 'GET', 'path': at, 'keep': ['managedFields']})
            yield {'id': f'{kind[1]}-{label}-{turn}', 'steps': copy.deepcopy(steps)}
