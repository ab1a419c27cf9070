"""Area b: objects of every kind, odd ones too, as Table, PartialObjectMetadata, protobuf and CBOR, read, listed and watched."""
import copy
from area_bad_input import named
from area_crud import SKIP, calm, status_of
from facts import definitions, resources, samples, subresources
from mutate import Mutator

JSON_TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io'
ACCEPTS = [JSON_TABLE, JSON_TABLE.replace('v=v1', 'v=v1beta1'), 'application/yaml;as=Table;v=v1;g=meta.k8s.io', 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io', 'application/json;as=PartialObjectMetadata;v=v1beta1;g=meta.k8s.io',
           'application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;v=v1;g=meta.k8s.io', 'application/vnd.kubernetes.protobuf', 'application/cbor', 'application/cbor;as=Table;v=v1;g=meta.k8s.io', 'application/yaml', 'application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/json', 'application/json;pretty=1']
LISTS = [a.replace('PartialObjectMetadata', 'PartialObjectMetadataList') for a in ACCEPTS] + ['application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io']
WATCHES = ['application/json', JSON_TABLE, 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io', 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io', 'application/yaml', 'application/json;stream=watch', 'application/cbor', 'application/cbor-seq', 'application/json;as=Table;v=v1beta1;g=meta.k8s.io', 'text/plain']


def include(random):
    return {'includeObject': random.choice(['None', 'Metadata', 'Object', '', 'x'])} if random.random() < 0.6 else {}


def cases(random, rounds):
    mutator = Mutator(random)
    for kind, known in samples().items():
        resource = resources()[kind]
        if 'create' not in resource.verbs or kind[1] in SKIP:
            continue
        for turn in range(rounds):
            label, base = random.choice(known)
            body = calm(named(base, kind))
            body['metadata'].pop('generateName', None)
            body['metadata']['name'] = 'x-{u}'
            body['metadata']['labels'] = {'app': '{u}'}
            odd = [calm(copy.deepcopy(body)) for _ in range(2)]
            for other in odd:
                changed = mutator.change(other, definitions()[kind], wild=0)
                other.clear()
                other.update(changed)
            at, only = f"{resource.path()}/x-{{u}}", {'labelSelector': 'app={u}'}
            steps = [{'method': 'POST', 'path': resource.path(), 'body': body, 'headers': {'Accept': random.choice(ACCEPTS)}, 'query': dict(include(random), dryRun='All')},
                     {'method': 'POST', 'path': resource.path(), 'body': body, 'only': ['code']}]
            if 'watch' in resource.verbs:
                steps.append({'watch': 'w', 'path': resource.path(), 'query': dict(only, timeoutSeconds='20', **include(random)), 'headers': {'Accept': random.choice(WATCHES)}})
            for other in odd:
                steps += [{'method': 'PUT', 'path': at, 'body': other, 'only': ['code']}, {'method': 'GET', 'path': at, 'headers': {'Accept': JSON_TABLE}, 'query': include(random)}]
            for sub in subresources().get((kind[0], resource.name), []):
                if sub == 'status':
                    steps += [step for _ in range(3) for step in (
                        {'method': 'PATCH', 'path': f'{at}/status', 'headers': {'Content-Type': 'application/merge-patch+json'}, 'only': ['code'], 'body': {'status': status_of(mutator, kind)}},
                        {'method': 'GET', 'path': at, 'headers': {'Accept': JSON_TABLE}})]
                if sub in ('status', 'scale'):
                    steps.append({'method': 'GET', 'path': f'{at}/{sub}', 'headers': {'Accept': random.choice(ACCEPTS)}})
            steps += [{'method': 'GET', 'path': at, 'headers': {'Accept': random.choice(ACCEPTS)}, 'query': include(random)} for _ in range(4)]
            steps += [{'method': 'GET', 'path': resource.path(), 'query': dict(only, **include(random)), 'headers': {'Accept': random.choice(LISTS)}} for _ in range(4)]
            steps.append({'method': 'DELETE', 'path': at, 'headers': {'Accept': random.choice(ACCEPTS)}, 'body': {'gracePeriodSeconds': 0}})
            if 'watch' in resource.verbs:
                steps.append({'collect': 'w', 'within': 2, 'count': 2})
            yield {'id': f'{kind[1]}-{label}-{turn}', 'steps': steps}
