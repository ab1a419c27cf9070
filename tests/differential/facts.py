"""What the API is made of, read from the recorded facts: kinds, where they are served, their fields, and objects to begin with."""
import csv, functools, json, os

SHARED = os.environ.get('SHARED', os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../../shared'))
META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta'


def rows(name):
    with open(os.path.join(SHARED, 'facts', name), newline='') as file:
        return list(csv.DictReader(file, delimiter='\t', quoting=csv.QUOTE_NONE))


class Resource:
    """One served resource: where it is, what it may be asked."""

    def __init__(self, row):
        self.group, self.version, self.name, self.kind = row['group'], row['version'], row['name'], row['kind']
        self.namespaced, self.verbs = row['namespaced'] == 'true', row['verbs'].split(',')

    @property
    def api_version(self):
        return f'{self.group}/{self.version}' if self.group else self.version

    def path(self, namespace='{ns}'):
        root = f'/apis/{self.group}/{self.version}' if self.group else f'/api/{self.version}'
        return f'{root}/namespaces/{namespace}/{self.name}' if self.namespaced else f'{root}/{self.name}'


@functools.cache
def resources():
    """Every resource (no subresources), by (apiVersion, kind)."""
    found = [Resource(row) for row in rows('resources.tsv') if '/' not in row['name']]
    return {(r.api_version, r.kind): r for r in found}


@functools.cache
def subresources():
    """Names of the subresources of a resource, by (apiVersion, plural)."""
    out = {}
    for row in rows('resources.tsv'):
        if '/' in row['name']:
            plural, sub = row['name'].split('/', 1)
            out.setdefault((f"{row['group']}/{row['version']}" if row['group'] else row['version'], plural), []).append(sub)
    return out


@functools.cache
def fields():
    """definition → {field → row}; field '' is the definition itself."""
    out = {}
    for row in rows('fields.tsv'):
        out.setdefault(row['definition'], {})[row['field']] = row
    return out


@functools.cache
def definitions():
    """(apiVersion, kind) → definition."""
    out = {}
    for row in rows('gvks.tsv'):
        for gvk in row['gvks'].split():
            group, version, kind = gvk.split('/')
            out[(f'{group}/{version}' if group else version, kind)] = row['definition']
    return out


@functools.cache
def samples():
    """Objects that the official server took, by (apiVersion, kind)."""
    out = {}
    with open(os.path.join(SHARED, 'facts', 'defaults.jsonl')) as file:
        for line in file:
            case = json.loads(line)
            thing = case['in']
            if case['case'].count('/') < 2 and (thing.get('apiVersion'), thing.get('kind')) in resources():
                out.setdefault((thing['apiVersion'], thing['kind']), []).append((case['case'], thing))
    return out
