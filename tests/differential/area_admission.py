"""Area 9: Pods at random under each Pod Security level, under LimitRanges and ResourceQuotas, and objects under policies with random expressions."""
import copy
from area_crud import calm
from facts import definitions, samples
from mutate import Mutator

POD = ('v1', 'Pod')
SECURE = {'securityContext': {'runAsNonRoot': True, 'seccompProfile': {'type': 'RuntimeDefault'}}, 'containers': [{'name': 'c', 'image': 'nginx', 'securityContext': {'allowPrivilegeEscalation': False, 'capabilities': {'drop': ['ALL']}}}]}
LOOSE = ['hostNetwork', 'hostPID', 'hostIPC']
EXPRESSIONS = ['object.data.a == "1"', 'has(object.data)', 'size(object.data) < 2', 'object.metadata.name.startsWith("a")', 'request.operation == "CREATE"', 'request.userInfo.username == "x"', 'oldObject == null', 'object.nope == 1', 'object.data.nope == "x"', 'object.data.?a.orValue("z") == "z"', 'namespaceObject.metadata.name == "x"', 'variables.v > 1', 'true', 'false', '1', 'object.data.all(k, k != "b")',
               '!("b" in object.data)', 'request.namespace != ""', 'request.dryRun == false', 'object.metadata.labels.app == "gold"', 'params == null', 'authorizer.group("").resource("pods").check("get").allowed()', 'object.', 'foo', 'size(object.metadata.annotations) == 0', 'object.data.a.matches("^[0-9]+$")', 'int(object.data.a) > 1', 'request.kind.kind == "ConfigMap"', 'request.resource.resource == "configmaps"', 'request.name == object.metadata.name']


def loosened(random, mutator):
    spec = copy.deepcopy(SECURE)
    container = spec['containers'][0]
    for _ in range(random.choice([0, 1, 1, 2, 3])):
        random.choice([
            lambda: spec.update({random.choice(LOOSE): True}), lambda: spec.update(volumes=[{'name': 'v', random.choice(['hostPath', 'emptyDir', 'nfs']): {'path': '/x', 'server': 's'}}]), lambda: container.update(ports=[{'containerPort': 80, 'hostPort': 80}]),
            lambda: container['securityContext'].update(privileged=True), lambda: container['securityContext'].pop('allowPrivilegeEscalation', None), lambda: container['securityContext'].update(capabilities=random.choice([{}, {'add': ['NET_ADMIN']}, {'drop': ['ALL'], 'add': ['NET_BIND_SERVICE']}, {'add': ['CHOWN', 'SYS_ADMIN']}])),
            lambda: spec['securityContext'].pop('runAsNonRoot', None), lambda: container['securityContext'].update(runAsUser=random.choice([0, 1000])), lambda: spec['securityContext'].update(runAsUser=0), lambda: spec['securityContext'].update(seccompProfile={'type': random.choice(['Unconfined', 'RuntimeDefault'])}),
            lambda: spec['securityContext'].pop('seccompProfile', None), lambda: container['securityContext'].update(seccompProfile={'type': 'Unconfined'}), lambda: spec['securityContext'].update(sysctls=[{'name': random.choice(['net.ipv4.ip_local_port_range', 'kernel.msgmax', 'net.core.somaxconn']), 'value': '1'}]),
            lambda: container['securityContext'].update(seLinuxOptions=random.choice([{'type': 'spc_t'}, {'user': 'u', 'role': 'r'}, {'type': 'container_t'}])), lambda: container['securityContext'].update(appArmorProfile={'type': random.choice(['Unconfined', 'RuntimeDefault'])}), lambda: container['securityContext'].update(procMount='Unmasked'),
            lambda: spec.update(hostUsers=False), lambda: spec['securityContext'].update(windowsOptions={'hostProcess': True}), lambda: spec.update(os={'name': random.choice(['windows', 'linux'])}), lambda: spec.update(initContainers=[{'name': 'i', 'image': 'x'}]), lambda: container.update(livenessProbe={'httpGet': {'port': 80, 'host': '1.2.3.4'}}),
            lambda: spec['containers'].append({'name': 'd', 'image': 'x', 'securityContext': {'privileged': True}}), lambda: spec.update(hostUsers=True)])()
    return spec


def security(random, mutator, turn):
    level = random.choice(['baseline', 'restricted', 'restricted'])
    labels = {'pod-security.kubernetes.io/enforce': level}
    if random.random() < 0.3:
        labels['pod-security.kubernetes.io/enforce-version'] = random.choice(['v1.24', 'latest', 'v1.19', 'v1.30', 'bogus'])
    if random.random() < 0.4:
        labels['pod-security.kubernetes.io/warn'] = random.choice(['baseline', 'restricted', 'bogus'])
    steps = []
    for _ in range(25):
        spec = loosened(random, mutator)
        pod = {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': 'x'}, 'spec': spec}
        if random.random() < 0.2:
            deployment = {'apiVersion': 'apps/v1', 'kind': 'Deployment', 'metadata': {'name': 'x'}, 'spec': {'selector': {'matchLabels': {'a': 'b'}}, 'template': {'metadata': {'labels': {'a': 'b'}}, 'spec': spec}}}
            steps.append({'method': 'POST', 'path': '/apis/apps/v1/namespaces/{ns}/deployments', 'query': {'dryRun': 'All'}, 'body': deployment, 'only': ['message']})
        else:
            if random.random() < 0.1:
                pod['metadata']['annotations'] = {'container.apparmor.security.beta.kubernetes.io/c': random.choice(['unconfined', 'runtime/default', 'localhost/x'])}
            steps.append({'method': 'POST', 'path': '/api/v1/namespaces/{ns}/pods', 'query': {'dryRun': 'All'}, 'body': pod, 'only': ['message', 'reason', 'details', 'code']})
    return {'id': f'security-{turn}', 'namespace': {'labels': labels}, 'steps': steps}


def amounts(random, share=0.6):
    return {k: random.choice(v) for k, v in {'cpu': ['100m', '500m', '1', '2'], 'memory': ['64Mi', '128Mi', '1Gi'], 'ephemeral-storage': ['1Gi', '2Gi']}.items() if random.random() < share}


def limited(random, mutator, turn):
    item = {'type': random.choice(['Container', 'Container', 'Pod'])}
    for part in ['max', 'min', 'default', 'defaultRequest', 'maxLimitRequestRatio']:
        if random.random() < 0.5 and not (item['type'] == 'Pod' and part.startswith('default')):
            item[part] = amounts(random, 0.5) if part != 'maxLimitRequestRatio' else {'cpu': random.choice(['2', '4'])}
    claim = {'type': 'PersistentVolumeClaim', 'max': {'storage': '2Gi'}, 'min': {'storage': '1Gi'}}
    steps = [{'method': 'POST', 'path': '/api/v1/namespaces/{ns}/limitranges', 'body': {'apiVersion': 'v1', 'kind': 'LimitRange', 'metadata': {'name': 'l'}, 'spec': {'limits': [item, claim]}}}]
    hard = {k: v for k, v in {'pods': '2', 'requests.cpu': '1', 'limits.memory': '1Gi', 'configmaps': '3', 'services': '1', 'services.nodeports': '0', 'persistentvolumeclaims': '1', 'requests.storage': '2Gi', 'count/deployments.apps': '1', 'secrets': '1', 'services.loadbalancers': '0', 'cpu': '1', 'memory': '512Mi', 'count/jobs.batch': '0'}.items() if random.random() < 0.25}
    quota = {'hard': hard}
    if random.random() < 0.3:
        quota['scopes'] = [random.choice(['BestEffort', 'NotBestEffort', 'Terminating', 'NotTerminating'])]
    if random.random() < 0.6:
        steps.append({'method': 'POST', 'path': '/api/v1/namespaces/{ns}/resourcequotas', 'body': {'apiVersion': 'v1', 'kind': 'ResourceQuota', 'metadata': {'name': 'q'}, 'spec': quota}})
        steps.append({'method': 'GET', 'path': '/api/v1/namespaces/{ns}/resourcequotas/q', 'until': {'path': 'status.hard', 'equals': hard}, 'within': 2, 'settle': 0.2, 'only': []})
    for n in range(14):
        container = {'name': 'c', 'image': 'nginx', 'resources': {}}
        for part in ('limits', 'requests'):
            if random.random() < 0.6:
                container['resources'][part] = amounts(random)
        spec = {'schedulerName': 'none', 'containers': [container]}
        if random.random() < 0.25:
            spec['initContainers'] = [{'name': 'i', 'image': 'x', 'resources': {'requests': amounts(random)}}]
        if random.random() < 0.2:
            spec['resources'] = {'requests': amounts(random)}
        if random.random() < 0.2:
            spec['activeDeadlineSeconds'] = 5
        if random.random() < 0.1:
            spec['priorityClassName'] = random.choice(['system-node-critical', 'none', 'system-cluster-critical'])
        roll = random.random()
        query = {'dryRun': 'All'} if random.random() < 0.5 else {}
        if roll < 0.7:
            steps.append({'method': 'POST', 'path': '/api/v1/namespaces/{ns}/pods', 'query': query, 'body': {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': f'p{n}'}, 'spec': spec}})
        elif roll < 0.8:
            steps.append({'method': 'POST', 'path': '/api/v1/namespaces/{ns}/persistentvolumeclaims', 'query': query, 'body': {'apiVersion': 'v1', 'kind': 'PersistentVolumeClaim', 'metadata': {'name': f'c{n}'}, 'spec': {'accessModes': ['ReadWriteOnce'], 'resources': {'requests': {'storage': random.choice(['1Gi', '512Mi', '3Gi'])}}}}})
        else:
            thing = random.choice([('v1', 'Service', '/api/v1/namespaces/{ns}/services', {'spec': {'type': random.choice(['NodePort', 'LoadBalancer', 'ClusterIP']), 'ports': [{'port': 80}]}}), ('v1', 'ConfigMap', '/api/v1/namespaces/{ns}/configmaps', {}), ('v1', 'Secret', '/api/v1/namespaces/{ns}/secrets', {})])
            steps.append({'method': 'POST', 'path': thing[2], 'query': query, 'body': {'apiVersion': thing[0], 'kind': thing[1], 'metadata': {'name': f'o{n}'}, **thing[3]}})
    return {'id': f'limits-{turn}', 'steps': steps}


def policy(random, turn):
    validations = []
    for _ in range(random.choice([1, 1, 2])):
        v = {'expression': random.choice(EXPRESSIONS)}
        if random.random() < 0.5:
            v['message'] = random.choice(['no', 'two\nlines', ''])
        if random.random() < 0.3:
            v['messageExpression'] = random.choice(['"name " + object.metadata.name', '"a" + 1', 'object.nope', '""', '1'])
        if random.random() < 0.3:
            v['reason'] = random.choice(['Forbidden', 'Invalid', 'Unauthorized', 'RequestEntityTooLarge', 'Nope'])
        validations.append(v)
    spec = {'failurePolicy': random.choice(['Fail', 'Ignore']), 'validations': validations,
            'matchConstraints': {'namespaceSelector': {'matchLabels': {'kubernetes.io/metadata.name': '{ns}'}}, 'resourceRules': [{'apiGroups': [''], 'apiVersions': ['v1'], 'operations': random.choice([['CREATE'], ['*'], ['CREATE', 'UPDATE'], ['DELETE']]), 'resources': ['configmaps']}]}}
    if any('variables' in v['expression'] for v in validations) or random.random() < 0.2:
        spec['variables'] = [{'name': 'v', 'expression': random.choice(['size(object.data)', '1 + 1', 'object.nope', '"x"'])}]
    if random.random() < 0.2:
        spec['matchConditions'] = [{'name': 'm', 'expression': random.choice(['true', 'false', 'object.metadata.name != "a"', 'object.nope', '1'])}]
    if random.random() < 0.15:
        spec['paramKind'] = {'apiVersion': 'v1', 'kind': 'ConfigMap'}
    if random.random() < 0.2:
        spec['auditAnnotations'] = [{'key': 'k', 'valueExpression': random.choice(['"x"', '1', 'object.nope'])}]
    binding = {'policyName': 'vap-{u}', 'validationActions': random.choice([['Deny'], ['Warn'], ['Audit'], ['Deny', 'Audit'], ['Warn', 'Audit'], ['Deny', 'Warn']])}
    if 'paramKind' in spec:
        binding['paramRef'] = {'name': 'p', 'parameterNotFoundAction': random.choice(['Deny', 'Allow'])}
    path = '/apis/admissionregistration.k8s.io/v1'
    steps = [{'method': 'POST', 'path': f'{path}/validatingadmissionpolicies', 'body': {'apiVersion': 'admissionregistration.k8s.io/v1', 'kind': 'ValidatingAdmissionPolicy', 'metadata': {'name': 'vap-{u}'}, 'spec': spec}, 'ignore': ['status']},
             {'method': 'POST', 'path': f'{path}/validatingadmissionpolicybindings', 'body': {'apiVersion': 'admissionregistration.k8s.io/v1', 'kind': 'ValidatingAdmissionPolicyBinding', 'metadata': {'name': 'vapb-{u}'}, 'spec': binding}}, {'sleep': 1.2}]
    at = '/api/v1/namespaces/{ns}/configmaps'
    for name, data in [('a', {'a': '1'}), ('b', {'a': '5', 'b': '2'}), ('c', {}), ('abc', {'b': 'x'})]:
        steps.append({'method': 'POST', 'path': at, 'body': {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': name, 'labels': {'app': 'gold'}}, 'data': data}})
    steps += [{'method': 'PATCH', 'path': f'{at}/a', 'headers': {'Content-Type': 'application/merge-patch+json'}, 'body': {'data': {'a': '7'}}}, {'method': 'DELETE', 'path': f'{at}/a'}]
    return {'id': f'policy-{turn}', 'steps': steps}


def cases(random, rounds):
    mutator = Mutator(random)
    for turn in range(rounds * 4):
        yield security(random, mutator, turn)
    for turn in range(rounds * 6):
        yield limited(random, mutator, turn)
    for turn in range(rounds * 15):
        yield policy(random, turn)
