"""Area 3 (and what of it is good, area 2): every kind created with one to three fields changed, as a dry run so that nothing is left behind."""
import copy
from facts import definitions, resources, samples
from mutate import Mutator

SKIP = {('v1', 'Namespace')}
STEPS = 30


def named(thing, kind):
    """A sample with the name its kind wants, the random word in it where it is cluster-wide."""
    out = copy.deepcopy(thing)
    if not resources()[kind].namespaced and out.get('metadata', {}).get('name') and kind[1] not in ('CustomResourceDefinition', 'APIService', 'IPAddress'):
        out['metadata']['name'] = out['metadata']['name'] + '-{u}'
    return out


def cases(random, rounds):
    mutator = Mutator(random)
    for kind, known in samples().items():
        resource = resources()[kind]
        if 'create' not in resource.verbs or kind in SKIP:
            continue
        for turn in range(rounds):
            steps = []
            for _ in range(STEPS):
                _, base = random.choice(known)
                body = mutator.change(named(base, kind), definitions()[kind], times=random.choice([1, 1, 1, 2, 3]))
                query = {'dryRun': 'All'}
                if random.random() < 0.1:
                    query['fieldValidation'] = random.choice(['Strict', 'Warn', 'Ignore'])
                steps.append({'method': 'POST', 'path': resource.path(), 'query': query, 'body': body})
            yield {'id': f'{kind[1]}-{turn}', 'steps': steps}
