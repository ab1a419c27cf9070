"""Area c: every route with every method, odd paths, odd Accepts; subresources of every kind, of objects that are there and that are not."""
from area_listwatch import FORMS
from facts import resources, subresources

METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'CONNECT', 'TRACE', 'FOO']
ODD = ['', '/', '//', '/x', '/x/', '/x/y', '/x/y/z', '/x%2Fy', '/x/../y', '/.', '/..', '/x/status/', '/x?', '/%00', '/X', '/x%20y', '/%C3%A9']


def cases(random, rounds):
    for kind, resource in resources().items():
        steps, below = [], subresources().get((kind[0], resource.name), [])
        there = resource.path('default')
        for _ in range(14 * rounds):
            roll, name = random.random(), random.choice(['none', 'none', 'none', 'Bad_Name', 'a.b'])
            if roll < 0.25:
                path = f'{there}/{name}'
            elif roll < 0.6 and below:
                path = f'{there}/{name}/{random.choice(below)}'
            elif roll < 0.7:
                path = f"{there}/{name}/{random.choice(['status', 'scale', 'nope', 'finalize', 'approval', 'log', 'token', 'binding'])}"
            elif roll < 0.8:
                path = there + random.choice(ODD[3:])
            elif roll < 0.9:
                path = there.replace('/namespaces/default', random.choice(['', '/namespaces/nowhere-{u}', '/watch/namespaces/default', '/watch'])) + random.choice(['', '/none'])
            else:
                path = there.replace('/v1/', random.choice(['/v1beta1/', '/v2/', '/V1/', '//v1/']))
            method = random.choice(METHODS[:5] * 3 + METHODS[5:7])
            step = {'method': method, 'path': path}
            if '/watch' in path and method == 'GET' or method == 'DELETE' and path.rsplit('/', 1)[-1] == resource.name:
                continue
            if method in ('POST', 'PUT', 'PATCH') and path.rsplit('/', 1)[-1] not in ('exec', 'attach', 'portforward', 'proxy'):
                step['query'] = {'dryRun': 'All'}
                step['body'] = random.choice([{}, {'apiVersion': kind[0], 'kind': kind[1], 'metadata': {'name': name}}, {'apiVersion': 'v1', 'kind': 'Nope'}, {'kind': kind[1]}, {'apiVersion': 'autoscaling/v1', 'kind': 'Scale', 'metadata': {'name': name}, 'spec': {'replicas': 1}}])
                if method == 'PATCH':
                    step['headers'] = {'Content-Type': random.choice(['application/merge-patch+json', 'application/strategic-merge-patch+json', 'application/apply-patch+yaml', 'application/json-patch+json'])}
            if random.random() < 0.1:
                step.setdefault('headers', {})['Accept'] = random.choice(FORMS)
            steps.append(step)
        yield {'id': f'routes-{kind[1]}', 'steps': steps}
