"""Area 2: good objects of every kind created, read in every form, changed by PUT and patch, their status written, and deleted."""
import copy
from area_bad_input import named
from facts import definitions, resources, samples, subresources
from mutate import Mutator

TABLE = {'Accept': 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json'}
PARTIAL = {'Accept': 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json'}
# What controllers and the cluster itself depend on, or what cannot be kept.
SKIP = {'Namespace', 'SubjectAccessReview', 'SelfSubjectReview', 'TokenReview', 'APIService', 'CustomResourceDefinition', 'Node',
        'ValidatingWebhookConfiguration', 'MutatingWebhookConfiguration', 'ValidatingAdmissionPolicyBinding', 'MutatingAdmissionPolicyBinding', 'IPAddress', 'ServiceCIDR', 'FlowSchema', 'PriorityLevelConfiguration'}


def merge(name):
    return {'Content-Type': 'application/merge-patch+json'}


def calm(body):
    """No scheduler takes its Pods."""
    for path in (['spec'], ['spec', 'template', 'spec'], ['spec', 'jobTemplate', 'spec', 'template', 'spec'], ['template', 'spec']):
        here = body
        for key in path:
            here = here.get(key) if isinstance(here, dict) else None
        if isinstance(here, dict) and 'containers' in here:
            here.setdefault('schedulerName', 'none')
    return body


def cases(random, rounds):
    mutator = Mutator(random)
    for kind, known in samples().items():
        resource = resources()[kind]
        if 'create' not in resource.verbs or kind[1] in SKIP:
            continue
        for turn in range(rounds):
            label, base = known[turn % len(known)] if turn < len(known) else random.choice(known)
            body = calm(named(base, kind))
            body['metadata'].pop('generateName', None)
            body['metadata'].setdefault('name', 'x')
            body['metadata'].setdefault('labels', {'app': 'gold'})
            at = f"{resource.path()}/{body['metadata']['name']}"
            steps = [
                {'method': 'POST', 'path': resource.path(), 'body': body},
                {'method': 'GET', 'path': at},
                {'method': 'GET', 'path': at, 'headers': TABLE},
                {'method': 'GET', 'path': resource.path(), 'query': {'labelSelector': 'app=gold', 'fieldSelector': f"metadata.name={body['metadata']['name']}"}, 'headers': TABLE},
                {'method': 'GET', 'path': at, 'headers': PARTIAL},
                {'method': 'GET', 'path': at, 'headers': {'Accept': 'application/yaml'}},
            ]
            for _ in range(2):
                changed = mutator.change(body, definitions()[kind], wild=0)
                steps.append({'method': 'PUT', 'path': at, 'query': {'dryRun': 'All'}, 'body': changed})
            steps += [
                {'method': 'PATCH', 'path': at, 'headers': merge(kind), 'body': {'metadata': {'labels': {'app': 'gold', 'more': 'x'}, 'annotations': {'a': 'b'}}}},
                {'method': 'PATCH', 'path': at, 'headers': {'Content-Type': 'application/strategic-merge-patch+json'}, 'body': {'metadata': {'annotations': {'a': None, 'c': 'd'}}}},
                {'method': 'PUT', 'path': at, 'body': body},
            ]
            for sub in subresources().get((kind[0], resource.name), []):
                if sub == 'status':
                    made = {'apiVersion': kind[0], 'kind': kind[1], 'metadata': {'name': body['metadata']['name']}}
                    steps += [{'method': 'GET', 'path': f'{at}/status'},
                              {'method': 'PATCH', 'path': f'{at}/status', 'query': {'dryRun': 'All'}, 'headers': merge(kind), 'keep': ['status'], 'body': {'status': status_of(mutator, kind)}},
                              {'method': 'PATCH', 'path': f'{at}/status', 'query': {'dryRun': 'All'}, 'headers': merge(kind), 'keep': ['status'], 'body': dict(made, status=status_of(mutator, kind))}]
            steps += [{'method': 'DELETE', 'path': at, 'query': {'dryRun': 'All'}}, {'method': 'DELETE', 'path': at, 'body': {'gracePeriodSeconds': 0}}, {'method': 'GET', 'path': at}]
            yield {'id': f'{kind[1]}-{label}-{turn}', 'steps': copy.deepcopy(steps)}


def status_of(mutator, kind):
    from facts import fields
    row = fields()[definitions()[kind]].get('status')
    return mutator.fresh(row['type'], 0) if row else {}
