"""Area d: every function of Kubernetes' CEL libraries, with good and bad arguments: its values, what is refused, what costs too much; `authorizer` and `jsonpatch` in policies."""
from cel_expressions import COSTLY, FAULTS, VALUES, lines

PATH = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
POLICIES = '/apis/admissionregistration.k8s.io/v1'
TEXT = {'type': 'string', 'maxLength': 20}
FIELDS = {'s': TEXT, 'n': {'type': 'integer'}, 'b': {'type': 'boolean'}, 'l': {'type': 'array', 'maxItems': 5, 'items': TEXT}, 'm': {'type': 'object', 'maxProperties': 5, 'additionalProperties': TEXT},
          'o': {'type': 'object', 'properties': {'x': {'type': 'integer'}}}}
LIMITED = {'s': {'type': 'string', 'maxLength': 100}, 'l': {'type': 'array', 'maxItems': 2000, 'items': {'type': 'string', 'maxLength': 30}}, 'n': {'type': 'array', 'maxItems': 3000, 'items': {'type': 'integer'}}, 'm': {'type': 'object', 'maxProperties': 2000, 'additionalProperties': {'type': 'string', 'maxLength': 20}},
           'o': {'type': 'object', 'properties': {'x': {'type': 'integer'}, 'y': {'type': 'string'}}}, 't': {'type': 'array', 'maxItems': 1000, 'items': {'type': 'object', 'required': ['name'], 'properties': {'name': {'type': 'string', 'maxLength': 20}, 'num': {'type': 'integer'}, 'list': {'type': 'array', 'maxItems': 50, 'items': {'type': 'string', 'maxLength': 5}}}}},
           'u': {'type': 'array', 'items': {'type': 'string'}}, 'v': {'type': 'string'}, 'w': {'type': 'object', 'additionalProperties': {'type': 'string'}}, 'q': {'type': 'array', 'items': {'type': 'integer'}}}
CHECKS = ['authorizer.path("/healthz").check("get").allowed()', 'authorizer.group("").resource("pods").namespace("default").check("create").allowed()', 'authorizer.group("apps").resource("deployments").subresource("scale").namespace("x").name("y").check("get").reason()',
          'authorizer.serviceAccount("default", "default").group("").resource("secrets").check("list").allowed()', 'authorizer.serviceAccount("default", "default").group("").resource("secrets").check("list").reason()', 'authorizer.group("").resource("pods").check("get").errored()', 'authorizer.group("").resource("pods").check("get").error()',
          'authorizer.group("").resource("pods").fieldSelector("spec.nodeName=a").check("list").allowed()', 'authorizer.group("").resource("pods").labelSelector("a in (b)").check("list").allowed()', 'authorizer.group("").resource("pods").labelSelector("a in").check("list").allowed()', 'authorizer.requestResource.check("get").allowed()',
          'authorizer.serviceAccount("", "x").path("/").check("get").allowed()', 'authorizer.serviceAccount("Bad!", "x").path("/").check("get").allowed()', 'request.operation', 'request.kind.kind', 'request.resource.resource', 'request.name', 'request.namespace == object.metadata.namespace', 'request.dryRun', 'request.userInfo.username', 'request.userInfo.groups', 'has(request.options)',
          'namespaceObject.metadata.labels["kubernetes.io/metadata.name"] == request.namespace', 'oldObject == null', 'object.metadata.name', 'object.data', 'object.data.a.size()', 'object.data.nope', 'has(object.metadata.uid)', 'object.?spec.hasValue()', 'object.data.map(k, object.data[k])', 'has(namespaceObject.spec.finalizers)', 'variables.twice', 'variables.bad']
WRONG = ['authorizer.nope("a")', 'authorizer.path(1).check("get").allowed()', 'authorizer.check("get")', 'authorizer.group("").check("get").allowed()', 'authorizer.path("/").check("get")', 'authorizer.group("").resource("pods").check(1).allowed()', 'authorizer.requestResource.nope()', 'authorizer.serviceAccount("a").path("/").check("get").allowed()',
         'request.nope', 'request.userInfo.nope == 1', 'namespaceObject.spec.nope == 1', 'namespaceObject.data == 1', 'variables.nope == 1', 'params.a == 1', 'self.a == 1', 'object', 'object.a', 'object.a + 1', 'size(object)', 'object.a == 1 ? 1 : 2', 'request', 'request.operation', 'request.operation == 1', 'oldObject', 'jsonpatch.escapeKey("a") == "b"', 'Object{} == object', 'authorizer == authorizer', 'object.list.all(x, x)', 'object.a.b.c()', 'variables']
PATCHES = ['[JSONPatch{op: "add", path: "/data/b", value: "x"}]', '[JSONPatch{op: "test", path: "/data/a", value: "1"}, JSONPatch{op: "replace", path: "/data/a", value: "9"}]', '[JSONPatch{op: "remove", path: "/data/nope"}]', '[JSONPatch{op: "add", path: "/metadata/labels", value: {}}, JSONPatch{op: "add", path: "/metadata/labels/" + jsonpatch.escapeKey("a.b/c~d"), value: "x"}]', '[JSONPatch{op: "copy", from: "/data/a", path: "/data/c"}]',
           '[JSONPatch{op: "move", from: "/data/a", path: "/data/c"}]', '[JSONPatch{op: "nope", path: "/data/a"}]', '[]', '[JSONPatch{op: "add", path: "/data/n", value: 1}]', '[JSONPatch{op: "add", path: "/data", value: object.data.transformMap(k, v, v + "!")}]', '[JSONPatch{op: "add", path: "/data/b", value: object.nope}]', '[JSONPatch{op: "test", path: "/data/a", value: "2"}]', 'has(object.data) ? [JSONPatch{op: "add", path: "/data/z", value: "z"}] : []']
APPLIED = ['Object{data: {"b": "x"}}', 'Object{metadata: Object.metadata{labels: {"a": "b"}}}', 'Object{metadata: Object.metadata{annotations: {"n": object.metadata.name}}}', 'Object{}', 'Object{data: {"a": "2", "c": string(size(object.data))}}', 'Object{data: {"a": 1}}', 'Object{data: object.nope}', 'Object{metadata: Object.metadata{labels: {?"x": object.?data.a}}}', 'Object{immutable: true}', 'Object{nope: 1}', 'Object{metadata: Object.metadata{name: "other"}}']
BAD_CHANGES = ['1', '"a"', 'object', '[1]', '{}', 'Object{spec: Object.nope{a: 1}}', 'Object{spec: 1', 'JSONPatch{op: 1}', '[JSONPatch{op: "add", nope: 1}]', '[JSONPatch{path: 1}]', '[Object{}]', 'nope', 'Object.spec{a: 1}', 'JSONPatch{op: "add", path: "/a", value: 1}', '[{"op": "add"}]', 'Object{metadata: Object.spec{a: 1}}', '[JSONPatch{op: "add", path: jsonpatch.escapeKey(1)}]', 'Object{metadata: {"a": 1}}']


def definition(schema):
    version = {'name': 'v1', 'served': True, 'storage': True, 'schema': {'openAPIV3Schema': {'type': 'object', 'properties': {'spec': schema}}}}
    return {'apiVersion': 'apiextensions.k8s.io/v1', 'kind': 'CustomResourceDefinition', 'metadata': {'name': 'things.{u}.example.com'},
            'spec': {'group': '{u}.example.com', 'scope': 'Namespaced', 'names': {'plural': 'things', 'singular': 'thing', 'kind': 'Thing'}, 'versions': [version]}}


def asked(name, schema):
    """One dry run, of whose answer the words count."""
    return {'method': 'POST', 'path': PATH, 'query': {'dryRun': 'All'}, 'body': definition(schema), 'only': ['message'], 'note': name}


def policy(kind, name, spec, binding):
    """A policy for ConfigMaps of the case's namespace, and its binding."""
    spec = dict(spec, matchConstraints={'namespaceSelector': {'matchLabels': {'kubernetes.io/metadata.name': '{ns}'}}, 'resourceRules': [{'apiGroups': [''], 'apiVersions': ['v1'], 'operations': ['CREATE'], 'resources': ['configmaps']}]})
    plural = kind.lower()[:-1] + 'ies'
    api = {'apiVersion': 'admissionregistration.k8s.io/v1'}
    return [{'method': 'POST', 'path': f'{POLICIES}/{plural}', 'body': dict(api, kind=kind, metadata={'name': name}, spec=spec), 'only': ['message']},
            {'method': 'POST', 'path': f'{POLICIES}/{kind.lower()}bindings', 'body': dict(api, kind=kind + 'Binding', metadata={'name': name}, spec=dict(binding, policyName=name)), 'only': ['message']}, {'sleep': 1.5}]


MAP = {'method': 'POST', 'path': '/api/v1/namespaces/{ns}/configmaps', 'query': {'dryRun': 'All'}, 'body': {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'm'}, 'data': {'a': '1'}}}


def values(name, expressions):
    """A policy that warns about each expression: its value as text, or why it has none."""
    validations = []
    for n, e in enumerate(expressions):
        validations += [{'expression': f'({e}) == ({e})', 'message': f'{n} is not itself'}, {'expression': 'false', 'message': f'{n} has no text', 'messageExpression': f"'{n}: %s'.format([{e}])"}]
    return {'id': f'values-{name}', 'note': expressions, 'steps': policy('ValidatingAdmissionPolicy', 'cel-{u}', {'failurePolicy': 'Fail', 'validations': validations}, {'validationActions': ['Warn']}) + [dict(MAP, only=['message'])]}


def judged(n, expression):
    known = [{'name': 'twice', 'expression': 'object.data.a + object.data.a'}, {'name': 'bad', 'expression': 'object.nope'}, {'name': 'it', 'expression': expression}]
    spec = {'failurePolicy': 'Fail', 'variables': known, 'validations': [{'expression': 'variables.it == variables.it', 'message': 'm'}, {'expression': 'false', 'messageExpression': "'it: %s'.format([variables.it])"}]}
    return {'id': f'judged-{n}', 'steps': policy('ValidatingAdmissionPolicy', 'cel-{u}', spec, {'validationActions': ['Warn']}) + [dict(MAP, note=expression)]}


def changed(n, mutation):
    return {'id': f'changed-{n}', 'steps': policy('MutatingAdmissionPolicy', 'cel-{u}', {'failurePolicy': 'Fail', 'reinvocationPolicy': 'Never', 'mutations': [mutation]}, {}) + [MAP]}


def cases(random, rounds):
    for name, text in VALUES.items():
        known = lines(text)
        for at in range(0, len(known), 8):
            yield values(f'{name}-{at}', known[at:at + 8])
    for name, text in FAULTS.items():
        known = lines(text)
        for at in range(0, len(known), 20):
            yield {'id': f'faults-{name}-{at}', 'namespace': False, 'steps': [asked(e, {'type': 'object', 'properties': FIELDS, 'x-kubernetes-validations': [{'rule': e}]}) for e in known[at:at + 20]]}
    known = lines(COSTLY)
    for at in range(0, len(known), 20):
        yield {'id': f'costs-{at}', 'namespace': False, 'steps': [asked(e, {'type': 'object', 'properties': LIMITED, 'x-kubernetes-validations': [{'rule': e}]}) for e in known[at:at + 20]]}
    rules = lambda kind, spec: {'apiVersion': 'admissionregistration.k8s.io/v1', 'kind': kind, 'metadata': {'name': 'cel-{u}'}, 'spec': dict(spec, matchConstraints={'resourceRules': [{'apiGroups': [''], 'apiVersions': ['v1'], 'operations': ['*'], 'resources': ['configmaps']}]})}
    dry = lambda plural, body: {'method': 'POST', 'path': f'{POLICIES}/{plural}', 'query': {'dryRun': 'All'}, 'body': body, 'only': ['message']}
    yield {'id': 'wrong', 'namespace': False, 'steps': [dry('validatingadmissionpolicies', rules('ValidatingAdmissionPolicy', {'validations': [{'expression': e}], 'variables': [{'name': 'v', 'expression': '1'}]})) for e in WRONG]}
    yield {'id': 'wrong-changes', 'namespace': False, 'steps': [dry('mutatingadmissionpolicies', rules('MutatingAdmissionPolicy', {'reinvocationPolicy': 'Never', 'mutations': [{'patchType': kind, key: {'expression': e}}]})) for e in BAD_CHANGES for kind, key in (('JSONPatch', 'jsonPatch'), ('ApplyConfiguration', 'applyConfiguration'))]}
    for n, expression in enumerate(CHECKS):
        yield judged(n, expression)
    for n, expression in enumerate(PATCHES):
        yield changed(f'patch-{n}', {'patchType': 'JSONPatch', 'jsonPatch': {'expression': expression}})
    for n, expression in enumerate(APPLIED):
        yield changed(f'apply-{n}', {'patchType': 'ApplyConfiguration', 'applyConfiguration': {'expression': expression}})
