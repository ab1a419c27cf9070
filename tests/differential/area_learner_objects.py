"""Slips of area f in objects of every chapter."""
from area_prose import APPS, CORE, CRD, RBAC
from area_learner import slips

slips('learner-pod', CORE + '/pods', '''apiVersion: v1
kind: Pod
metadata:
  name: web
  labels:
    app: web
spec:
  containers:
  - name: app
    image: nginx:1.27
    ports:
    - containerPort: 80
      name: http
    env:
    - name: COLOR
      value: "blue"
    resources:
      requests:
        memory: "64Mi"
        cpu: "250m"
      limits:
        memory: "128Mi"
        cpu: "500m"
    livenessProbe:
      httpGet:
        path: /healthz
        port: http
      initialDelaySeconds: 3
    volumeMounts:
    - name: cache
      mountPath: /cache
  volumes:
  - name: cache
    emptyDir: {}
''', [('kind: Pod', 'kind: pod'), ('kind: Pod', 'kind: Deployment'), ('apiVersion: v1', 'apiVersion: apps/v1'), ('apiVersion: v1', 'apiVersion: V1'), ('apiVersion: v1', 'version: v1'), ('  containers:', '  container:'), ('    image: nginx', '  image: nginx'), ('    - containerPort: 80', '    - containerport: 80'),
      ('- containerPort: 80', '- containerPort: "80"'), ('- containerPort: 80', '- containerPort: 80:8080'), ('name: http\n', 'name: http_web\n'), ('name: http\n', 'name: a-very-long-port-name\n'), ('name: http\n', 'name: "8080"\n'), ('name: http\n', 'name: HTTP\n'), ('value: "blue"', 'value: 5'), ('value: "blue"', 'value: true'), ('value: "blue"', 'value: {a: b}'), ('name: COLOR', 'name: "my color"'), ('name: COLOR', 'name: COLOR=x'),
      ('memory: "64Mi"', 'memory: "64mb"'), ('memory: "64Mi"', 'memory: 64 Mi'), ('memory: "64Mi"', 'memory: "64MB"'), ('memory: "64Mi"', 'memory: "256Mi"'), ('memory: "64Mi"', 'memory: -1'), ('cpu: "250m"', 'cpu: 250 m'), ('cpu: "250m"', 'cpu: 0.0005'), ('cpu: "250m"', 'cpu: half'), ('cpu: "250m"', 'cpus: "250m"'), ('cpu: "250m"', 'cpu: ""'), ('cpu: "250m"', 'cpu: 1e400'), ('      requests:', '      request:'), ('      requests:', '      Requests:'),
      ('    livenessProbe:', '    livelinessProbe:'), ('path: /healthz', 'Path: /healthz'), ('port: http', 'port: htttttttttttttttttp'), ('port: http', 'port: 0'), ('port: http', 'port: 8080.5'), ('      initialDelaySeconds: 3', '      initialDelaySeconds: 3s'), ('      initialDelaySeconds: 3', '      initialDelaySeconds: -3'), ('      initialDelaySeconds: 3', '      exec: {command: [ls]}'), ('      initialDelaySeconds: 3', '      successThreshold: 2'),
      ('    - name: cache\n      mountPath', '    - name: cashe\n      mountPath'), ('mountPath: /cache', 'mountPath: "C:\\\\cache:x"'), ('mountPath: /cache', 'path: /cache'), ('  - name: cache', '  - nam: cache'), ('emptyDir: {}', 'emptyDir:'), ('emptyDir: {}', 'emptydir: {}'), ('emptyDir: {}', 'emptyDir: {}\n    hostPath: {path: /x}'), ('emptyDir: {}', 'configMap: conf'), ('emptyDir: {}', 'configMap: {}'), ('emptyDir: {}', 'secret: {name: x}'), ('emptyDir: {}', 'persistentVolumeClaim: {}'), ('emptyDir: {}', 'emptyDir: {sizeLimit: 1 Gi}'), ('emptyDir: {}', 'emptyDir: {medium: Ram}'),
      ('  name: web', '  name: Web_1'), ('  name: web', '  name: ""'), ('  name: web', '  name: 12'), ('  name: web', '  namespace: other\n  name: web'), ('    app: web', '    app: web site'), ('    app: web', '  app: web'), ('    app: web', '    - app: web'), ('    app: web', '    app: 1'), ('spec:', 'Spec:'), ('spec:', 'spec:\n  restartPolicy: always'), ('spec:', 'spec:\n  restartpolicy: Never'), ('spec:', 'spec:\n  replicas: 3'), ('spec:', 'spec:\n  nodeSelector: {disk: true}'), ('spec:', 'spec:\n  nodeSelector: ssd'),
      ('spec:', 'spec:\n  tolerations: [{key: a, operator: Equals, value: b}]'), ('spec:', 'spec:\n  tolerations: [{key: a, operator: Exists, value: b}]'), ('spec:', 'spec:\n  serviceAccount: nope'), ('spec:', 'spec:\n  serviceAccountName: nope'), ('spec:', 'spec:\n  imagePullSecrets: [reg]'), ('spec:', 'spec:\n  imagePullSecrets: reg'), ('spec:', 'spec:\n  securityContext: {runAsUser: root}'), ('spec:', 'spec:\n  securityContext: {privileged: true}'), ('spec:', 'spec:\n  securityContext: {runAsNonRoot: true, runAsUser: -5, fsGroup: 99999999999}'), ('spec:', 'spec:\n  terminationGracePeriodSeconds: 30s'), ('spec:', 'spec:\n  terminationGracePeriodSeconds: -1'), ('spec:', 'spec:\n  priorityClassName: nope'), ('spec:', 'spec:\n  runtimeClassName: nope'), ('spec:', 'spec:\n  hostNetwork: "true"'), ('spec:', 'spec:\n  hostname: my_host'),
      ('spec:', 'spec:\n  initContainers:\n  - name: app\n    image: busybox'), ('spec:', 'spec:\n  initContainers:\n  - name: init\n    image: busybox\n    livenessProbe: {exec: {command: [ls]}}'), ('spec:', 'spec:\n  topologySpreadConstraints: [{maxSkew: 0, topologyKey: zone, whenUnsatisfiable: No}]'), ('spec:', 'spec:\n  affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: disk, operator: in, values: [ssd]}]}]}}}'), ('spec:', 'spec:\n  affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: []}}'), ('spec:', 'spec:\n  affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{labelSelector: {matchLabels: {a: b}}}]}}'), ('spec:', 'spec:\n  schedulingGates: [{name: "a b"}]'), ('spec:', 'spec:\n  dnsPolicy: None'),
      ('image: nginx:1.27', 'image: " nginx"'), ('image: nginx:1.27', 'image: nginx:1.27\n    imagePullPolicy: IfNotpresent'), ('image: nginx:1.27', 'image: nginx:1.27\n    command: sleep 5'), ('image: nginx:1.27', 'image: nginx:1.27\n    args: [sleep, 5]'), ('image: nginx:1.27', 'image: nginx:1.27\n    image: nginx:1.28'), ('image: nginx:1.27', 'image: nginx:1.27\n    lifecycle: {preStop: {sleep: {seconds: 60}}}'), ('image: nginx:1.27', 'image: nginx:1.27\n    envFrom: [{configMapRef: conf}]'), ('image: nginx:1.27', 'image: nginx:1.27\n    restartPolicy: OnFailure'), ('image: nginx:1.27', 'image: nginx:1.27\n    securityContext: {capabilities: {add: NET_ADMIN}}'), ('image: nginx:1.27', 'image: nginx:1.27\n    stdin: yes'), ('image: nginx:1.27', 'image: nginx:1.27\n    startupProbe: {tcpSocket: {port: 80}, httpGet: {port: 80}}'), ('image: nginx:1.27', 'image: nginx:1.27\n    readinessProbe: {grpc: {port: grpc}}'), ('image: nginx:1.27', 'image: nginx:1.27\n    readinessProbe: {httpGet: {port: 80, scheme: https}}'), ('image: nginx:1.27', 'image: nginx:1.27\n    readinessProbe: {}'),
      ('  - name: app', '  - name: app\n    image: x\n  - name: app'), ('  - name: app', '    - name: app'), ('  - name: app', '  name: app'), ('  - name: app', '  -name: app'), ('  - name: app', '\t- name: app'), ('  name: web', '  name:web'), ('  name: web', '  name: web: x'), ('  labels:', '   labels:')])

slips('learner-deployment', APPS + '/deployments', '''apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 3
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxSurge: 25%
      maxUnavailable: 1
  selector:
    matchLabels:
      app: web
  template:
    metadata:
      labels:
        app: web
    spec:
      containers:
      - name: app
        image: nginx:1.27
''', [('apps/v1', 'v1'), ('apps/v1', 'extensions/v1beta1'), ('apps/v1', 'app/v1'), ('apps/v1', 'apps/v1beta1'), ('apps/v1', 'apps'), ('replicas: 3', 'replicas: "3"'), ('replicas: 3', 'replica: 3'), ('replicas: 3', 'replicas: -3'), ('replicas: 3', 'replicas: 3.5'), ('replicas: 3', 'replicas: 3000000000'), ('replicas: 3', 'replicas:'), ('      app: web\n  template', '      app: wep\n  template'), ('    matchLabels:\n      app: web', '    app: web'), ('  selector:\n    matchLabels:\n      app: web\n', ''), ('    matchLabels:\n      app: web', '    matchLabels: {}'), ('    matchLabels:\n      app: web', '    matchExpressions: [{key: app, operator: In}]'), ('matchLabels', 'matchlabels'),
      ('type: RollingUpdate', 'type: Rolling'), ('type: RollingUpdate', 'type: Recreate'), ('maxSurge: 25%', 'maxSurge: 25'), ('maxSurge: 25%', 'maxSurge: "25"'), ('maxSurge: 25%', 'maxSurge: -1'), ('maxSurge: 25%', 'maxSurge: 2.5%'), [('maxSurge: 25%', 'maxSurge: 0%'), ('maxUnavailable: 1', 'maxUnavailable: 0')], ('maxUnavailable: 1', 'maxUnavailable: 110%'), ('  template:', '  templates:'), ('      labels:\n        app: web', '      name: x'), ('    spec:\n      containers:', '    containers:'), ('      containers:', '      restartPolicy: OnFailure\n      containers:'), ('  replicas: 3', '  minReadySeconds: 700\n  progressDeadlineSeconds: 600'), ('  replicas: 3', '  revisionHistoryLimit: -1'), ('  replicas: 3', '  paused: "yes"'), ('image: nginx:1.27', 'Image: nginx:1.27'), ('image: nginx:1.27', 'image:'), ('      containers:\n', '      containers: []\n      x:\n')])

slips('learner-stateful-set', APPS + '/statefulsets', '''apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: db
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers:
      - name: db
        image: postgres:17
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec:
      accessModes: [ReadWriteOnce]
      resources: {requests: {storage: 1Gi}}
''', [('serviceName: db', 'servicename: db'), ('serviceName: db', 'serviceName: DB!'), ('[ReadWriteOnce]', '[RWO]'), ('[ReadWriteOnce]', 'ReadWriteOnce'), ('storage: 1Gi', 'storage: 1GB'), ('storage: 1Gi', 'storage: 0'), ('requests: {storage', 'limits: {storage'), ('metadata: {name: data}', 'metadata: {name: Data}'), ('name: data, mountPath', 'name: date, mountPath'), ('replicas: 2', 'podManagementPolicy: parallel'), ('replicas: 2', 'updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: -1}}'), ('replicas: 2', 'updateStrategy: OnDelete'), ('replicas: 2', 'persistentVolumeClaimRetentionPolicy: {whenDeleted: delete}'), ('replicas: 2', 'ordinals: {start: -1}'), ('volumeClaimTemplates', 'volumeClaimTemplate')])

slips('learner-daemon-set', APPS + '/daemonsets', '''apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      containers: [{name: agent, image: agent, volumeMounts: [{name: log, mountPath: /var/log, readOnly: true}]}]
      volumes: [{name: log, hostPath: {path: /var/log}}]
''', [('spec:', 'spec:\n  replicas: 2'), ('spec:', 'spec:\n  updateStrategy: {type: Recreate}'), ('spec:', 'spec:\n  updateStrategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 1}}'), ('path: /var/log}}', 'path: ../log}}'), ('path: /var/log}}', 'path: /var/log, type: Dir}}'), ('{path: /var/log}', '/var/log'), ('readOnly: true', 'readonly: true'), ('{app: agent}}\n  template', '{app: other}}\n  template')])

slips('learner-job', '/apis/batch/v1/namespaces/{ns}/jobs', '''apiVersion: batch/v1
kind: Job
metadata: {name: pi}
spec:
  completions: 5
  parallelism: 2
  backoffLimit: 4
  template:
    spec:
      containers: [{name: pi, image: perl, command: [perl]}]
      restartPolicy: Never
''', [('restartPolicy: Never', 'restartPolicy: Always'), ('      restartPolicy: Never\n', ''), ('backoffLimit: 4', 'backoffLimit: -1'), ('backoffLimit: 4', 'backofflimit: 4'), ('backoffLimit: 4', 'backoffLimitPerIndex: 1'), ('backoffLimit: 4', 'completionMode: indexed'), ('backoffLimit: 4', 'completionMode: Indexed\n  maxFailedIndexes: 9'), ('backoffLimit: 4', 'ttlSecondsAfterFinished: -1'), ('backoffLimit: 4', 'selector: {matchLabels: {a: b}}'), ('backoffLimit: 4', 'manualSelector: true'), ('backoffLimit: 4', 'activeDeadlineSeconds: 0'), ('backoffLimit: 4', 'podFailurePolicy: {rules: []}'), ('backoffLimit: 4', 'podFailurePolicy: {rules: [{action: Fail}]}'), ('backoffLimit: 4', 'podFailurePolicy: {rules: [{action: FailJob, onExitCodes: {operator: In, values: [0]}}]}'), ('backoffLimit: 4', 'podFailurePolicy: {rules: [{action: FailIndex, onExitCodes: {operator: In, values: [1]}}]}'),
      ('backoffLimit: 4', 'successPolicy: {rules: []}'), ('backoffLimit: 4', 'completionMode: Indexed\n  successPolicy: {rules: []}'), ('backoffLimit: 4', 'completionMode: Indexed\n  successPolicy: {rules: [{}]}'), ('backoffLimit: 4', 'completionMode: Indexed\n  successPolicy: {rules: [{succeededIndexes: "0-9", succeededCount: 20}]}'), ('backoffLimit: 4', 'completionMode: Indexed\n  successPolicy: {rules: [{succeededIndexes: "a-b"}]}'), ('backoffLimit: 4', 'suspend: "true"'), ('backoffLimit: 4', 'podReplacementPolicy: Failed2'), ('completions: 5', 'completions: five'), ('parallelism: 2', 'parallelism: -2'), ('batch/v1', 'batch/v1beta1'), ('  template:\n    spec:', '  spec:'), ('{name: pi}\nspec', '{name: Pi}\nspec'), ('backoffLimit: 4', 'managedBy: x')])

slips('learner-cron-job', '/apis/batch/v1/namespaces/{ns}/cronjobs', '''apiVersion: batch/v1
kind: CronJob
metadata: {name: hello}
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec:
      template:
        spec:
          containers: [{name: hello, image: busybox}]
          restartPolicy: OnFailure
''', [('"* * * * *"', '* * * * *'), ('"* * * * *"', '"* * * *"'), ('"* * * * *"', '"*/5 * * * * *"'), ('"* * * * *"', '"60 * * * *"'), ('"* * * * *"', '"@every 5"'), ('"* * * * *"', '"@yearly"'), ('"* * * * *"', '""'), ('"* * * * *"', '"0 0 * JAN MON-FRI"'), ('"* * * * *"', '"5-1 * * * *"'), ('"* * * * *"', '"TZ=UTC 0 * * * *"'), ('  schedule:', '  timeZone: Berlin\n  schedule:'), ('  schedule:', '  timeZone: ""\n  schedule:'), ('  schedule:', '  concurrencyPolicy: forbid\n  schedule:'), ('  schedule:', '  successfulJobsHistoryLimit: -1\n  schedule:'), ('  schedule:', '  startingDeadlineSeconds: -1\n  schedule:'), ('OnFailure', 'Always'), ('jobTemplate:\n    spec:\n      template:', 'template:\n    spec:\n      template:'), ('{name: hello}\nspec', '{name: a-name-that-is-quite-a-lot-longer-than-fifty-two-characters}\nspec'), ('  schedule: "* * * * *"\n', '')])

slips('learner-service', CORE + '/services', '''apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  type: ClusterIP
  ports:
  - name: http
    port: 80
    targetPort: http
''', [('type: ClusterIP', 'type: clusterIP'), ('type: ClusterIP', 'type: NodePort\n  externalTrafficPolicy: local'), ('type: ClusterIP', 'type: ExternalName'), ('type: ClusterIP', 'type: ExternalName\n  externalName: my_db.example.com'), ('type: ClusterIP', 'type: LoadBalancer\n  loadBalancerSourceRanges: [10.0.0.1]'), ('type: ClusterIP', 'clusterIP: none'), ('type: ClusterIP', 'clusterIP: 10.96.0.300'), ('type: ClusterIP', 'clusterIP: 192.168.0.1'), ('type: ClusterIP', 'externalIPs: [example.com]'), ('type: ClusterIP', 'sessionAffinity: clientIP'), ('type: ClusterIP', 'sessionAffinity: ClientIP\n  sessionAffinityConfig: {clientIP: {timeoutSeconds: 90000}}'), ('type: ClusterIP', 'ipFamilyPolicy: DualStack'), ('type: ClusterIP', 'ipFamilies: [IPv6]'), ('type: ClusterIP', 'ipFamilies: [ipv4]'), ('type: ClusterIP', 'internalTrafficPolicy: local'), ('type: ClusterIP', 'type: LoadBalancer\n  loadBalancerClass: "a b"'), ('type: ClusterIP', 'trafficDistribution: PreferNear'), ('type: ClusterIP', 'allocateLoadBalancerNodePorts: false'), ('type: ClusterIP', 'healthCheckNodePort: 30000'),
      ('port: 80', 'port: http'), ('port: 80', 'port: "80"'), ('port: 80', 'port: 80000'), ('port: 80', 'port: 80\n    nodePort: 30080'), ('type: ClusterIP', 'type: NodePort\n  x: y'), [('type: ClusterIP', 'type: NodePort'), ('port: 80', 'port: 80\n    nodePort: 80')], ('port: 80', 'containerPort: 80'), ('port: 80', 'port: 80\n    protocol: HTTP'), ('port: 80', 'port: 80\n    protocol: tcp'), ('    targetPort: http', '    targetPort: http_1'), ('    targetPort: http', '    targetport: 80'), ('    targetPort: http', '    targetPort: 0'), ('    targetPort: http', '  - port: 81'), ('    targetPort: http', '  - name: http\n    port: 81'), ('    targetPort: http', '  - name: https\n    port: 80'), ('- name: http', '- name: Http'), ('  selector: {app: web}', '  selector: {matchLabels: {app: web}}'), ('  selector: {app: web}', '  selector: app=web'), ('{name: web}', '{name: 1web}'), ('{name: web}', '{name: web.site}'), ('  ports:\n  - name: http\n    port: 80\n    targetPort: http\n', '')])

slips('learner-ingress', '/apis/networking.k8s.io/v1/namespaces/{ns}/ingresses', '''apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  ingressClassName: nginx
  rules:
  - host: web.example.com
    http:
      paths:
      - path: /
        pathType: Prefix
        backend:
          service:
            name: web
            port:
              number: 80
  tls:
  - hosts: [web.example.com]
    secretName: cert
''', [('networking.k8s.io/v1', 'networking.k8s.io/v1beta1'), ('networking.k8s.io/v1', 'extensions/v1beta1'), ('          service:\n            name: web\n            port:\n              number: 80', '          serviceName: web\n          servicePort: 80'), ('        pathType: Prefix\n', ''), ('pathType: Prefix', 'pathType: prefix'), ('path: /\n', 'path: api\n'), ('path: /\n', 'path: /a//b\n'), ('path: /\n', 'path: /a/../b\n'), ('number: 80', 'number: "80"'), ('number: 80', 'number: 0'), ('number: 80', 'name: http\n              number: 80'), ('number: 80', 'name: HTTP'), ('port:\n              number: 80', 'port: 80'), ('host: web.example.com', 'host: http://web.example.com'), ('host: web.example.com', 'host: "*"'), ('host: web.example.com', 'host: "*.*.com"'), ('host: web.example.com', 'host: web.example.com:80'), ('host: web.example.com', 'host: Web.example.com'), ('host: web.example.com', 'host: 10.0.0.1'), ('[web.example.com]', '["web example"]'), ('secretName: cert', 'secretname: cert'), ('ingressClassName: nginx', 'ingressClassName: Nginx!'), ('  ingressClassName: nginx', '  defaultBackend: {service: {name: web}}'), ('  ingressClassName: nginx', '  defaultBackend: {service: {name: web, port: {number: 80}}, resource: {kind: A, name: b}}'), ('  ingressClassName: nginx', '  backend: {serviceName: web, servicePort: 80}'), ('name: web\n            port', 'name: Web\n            port'), ('    http:\n      paths:', '    paths:'), ('pathType: Prefix', 'pathType: ImplementationSpecific'), ('{name: web}', '{name: web, annotations: {kubernetes.io/ingress.class: nginx}}')])

slips('learner-network-policy', '/apis/networking.k8s.io/v1/namespaces/{ns}/networkpolicies', '''apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec:
  podSelector: {matchLabels: {role: db}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from:
    - ipBlock: {cidr: 172.17.0.0/16, except: [172.17.1.0/24]}
    - namespaceSelector: {matchLabels: {project: x}}
    ports:
    - {protocol: TCP, port: 6379}
''', [('[Ingress, Egress]', '[ingress]'), ('[Ingress, Egress]', '[Ingress, Egress, Other]'), ('[Ingress, Egress]', 'Ingress'), ('172.17.0.0/16', '172.17.0.0'), ('172.17.0.0/16', '172.17.0.1/16'), ('172.17.1.0/24', '10.0.0.0/8'), ('172.17.1.0/24', '172.17.0.0/16'), ('port: 6379', 'port: 70000'), ('port: 6379', 'port: redis_db'), ('port: 6379', 'port: 6379, endPort: 6000'), ('port: 6379', 'endPort: 6000'), ('protocol: TCP', 'protocol: ICMP'), ('    - namespaceSelector', '      namespaceSelector'), ('  podSelector: {matchLabels: {role: db}}\n', ''), ('  - from:', '  - form:'), ('{role: db}', '{role: db server}'), ('    - ipBlock', '    - podSelector: {}\n      ipBlock')])

slips('learner-config-map', CORE + '/configmaps', '''apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data:
  a.properties: |
    x=1
    y=2
  count: "5"
''', [('count: "5"', 'count: 5'), ('count: "5"', 'count: yes'), ('count: "5"', 'count: null'), ('count: "5"', 'count: [a]'), ('count: "5"', '"my key": x'), ('count: "5"', 'a/b: x'), ('count: "5"', '..: x'), ('data:', 'Data:'), ('data:', 'spec:'), ('data:', 'immutable: yes please\ndata:'), ('data:', 'binaryData: {count: eA==}\ndata:'), ('data:', 'binaryData: {b: "not base64!"}\ndata:'), ('metadata: {name: conf}', 'name: conf'), ('metadata: {name: conf}', 'metadata: {name: conf, label: {a: b}}'), ('metadata: {name: conf}', 'metadata: {name: conf, annotations: {a: 1}}'), ('metadata: {name: conf}', 'metadata: {name: conf, annotations: [a]}'), ('metadata: {name: conf}', 'metadata: [name: conf]'), ('metadata: {name: conf}', 'metadata:\nname: conf'), ('apiVersion: v1', 'apiVersion: 1'), ('apiVersion: v1', 'apiVersion:'), ('kind: ConfigMap', 'kind: Configmap'), ('kind: ConfigMap', 'kind: ConfigMapList'), ('kind: ConfigMap', 'kind:')])

slips('learner-secret', CORE + '/secrets', '''apiVersion: v1
kind: Secret
metadata: {name: cred}
type: Opaque
stringData: {user: admin}
data: {password: cGFzcw==}
''', [('cGFzcw==', 'pass word'), ('cGFzcw==', 'cGFzcw'), ('cGFzcw==', '5'), ('admin', '5'), ('admin', 'true'), ('Opaque', 'opaque'), ('Opaque', 'kubernetes.io/tls'), ('Opaque', 'kubernetes.io/basic-auth'), ('Opaque', 'kubernetes.io/dockerconfigjson'), ('Opaque', 'kubernetes.io/service-account-token'), ('Opaque', 'kubernetes.io/ssh-auth'), ('stringData', 'stringdata'), ('type: Opaque', 'type: kubernetes.io/dockerconfigjson\nx: {}'), ('password', 'pass word'), ('type: Opaque', 'type: Opaque\nimmutable: 1')])

slips('learner-volume-claim', CORE + '/persistentvolumeclaims', '''apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: fast
  volumeMode: Filesystem
  resources: {requests: {storage: 8Gi}}
''', [('[ReadWriteOnce]', '[ReadWriteOnce, ReadWriteOncePod]'), ('[ReadWriteOnce]', '[readWriteOnce]'), ('  accessModes: [ReadWriteOnce]\n', ''), ('storage: 8Gi', 'storage: 8gb'), ('storage: 8Gi', 'storage: -8Gi'), ('storage: 8Gi', 'memory: 8Gi'), ('  resources: {requests: {storage: 8Gi}}\n', ''), ('storageClassName: fast', 'storageClass: fast'), ('storageClassName: fast', 'storageClassName: Fast!'), ('Filesystem', 'filesystem'), ('volumeMode', 'selector: {matchLabels: {a b: c}}\n  volumeMode'), ('volumeMode', 'dataSource: {kind: Pod, name: x}\n  volumeMode'), ('volumeMode', 'dataSource: {kind: VolumeSnapshot, name: x, apiGroup: snapshot.storage.k8s.io}\n  volumeMode'), ('resources: {requests', 'resource: {requests'), ('storage: 8Gi}', 'storage: 8Gi}, limits: {storage: 1Gi}')])

slips('learner-volume', '/api/v1/persistentvolumes', '''apiVersion: v1
kind: PersistentVolume
metadata: {name: 'vol-{u}'}
spec:
  capacity: {storage: 10Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  hostPath: {path: /mnt/data}
''', [('Retain', 'retain'), ('Retain', 'Recycle'), ('/mnt/data', '/mnt/../data'), ('/mnt/data', '/'), ('/mnt/data', '""'), ('hostPath: {path: /mnt/data}', 'local: {path: /mnt}'), ('hostPath: {path: /mnt/data}', 'nfs: {server: x}'), ('hostPath: {path: /mnt/data}', 'csi: {driver: "a b"}'), ('capacity: {storage: 10Gi}', 'resources: {requests: {storage: 10Gi}}'), ('capacity: {storage: 10Gi}', 'capacity: 10Gi'), ('capacity: {storage: 10Gi}', 'capacity: {storage: 0}'), ('hostPath:', 'storageClassName: "x y"\n  hostPath:'), ('hostPath:', 'nodeAffinity: {required: {}}\n  hostPath:'), ('hostPath:', 'claimRef: {name: x}\n  hostPath:'), ('hostPath:', 'volumeMode: block\n  hostPath:'), ("name: 'vol-{u}'", "name: 'vol-{u}', namespace: default")], namespace=False)

slips('learner-storage-class', '/apis/storage.k8s.io/v1/storageclasses', '''apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: 'fast-{u}'}
provisioner: example.com/disk
parameters: {type: ssd}
reclaimPolicy: Delete
volumeBindingMode: WaitForFirstConsumer
''', [('example.com/disk', '"my disk"'), ('example.com/disk', ''), ('type: ssd', 'type: 5'), ('type: ssd', '"": x'), ('reclaimPolicy: Delete', 'reclaimPolicy: delete'), ('reclaimPolicy: Delete', 'reclaimPolicy: Recycle'), ('WaitForFirstConsumer', 'WaitForConsumer'), ('reclaimPolicy', 'allowVolumeExpansion: "true"\nreclaimPolicy'), ('reclaimPolicy', 'spec: {}\nreclaimPolicy'), ('reclaimPolicy', 'allowedTopologies: [{matchLabelExpressions: [{key: zone, values: [a, a]}]}]\nreclaimPolicy'), ('reclaimPolicy', 'mountOptions: ro\nreclaimPolicy')], namespace=False)

slips('learner-autoscaler', '/apis/autoscaling/v2/namespaces/{ns}/horizontalpodautoscalers', '''apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 1
  maxReplicas: 10
  metrics:
  - type: Resource
    resource:
      name: cpu
      target: {type: Utilization, averageUtilization: 50}
''', [('autoscaling/v2', 'autoscaling/v1'), ('autoscaling/v2', 'autoscaling/v2beta2'), ('minReplicas: 1', 'minReplicas: 11'), ('minReplicas: 1', 'minReplicas: 0'), ('maxReplicas: 10', 'maxReplicas: ten'), ('  maxReplicas: 10\n', ''), ('type: Resource', 'type: resource'), ('type: Resource', 'type: Pods'), ('averageUtilization: 50', 'averageUtilization: 50%'), ('averageUtilization: 50', 'averageValue: 50'), ('averageUtilization: 50', 'averageUtilization: 0'), ('type: Utilization, ', ''), ('type: Utilization', 'type: utilization'), ('kind: Deployment, ', ''), ('name: web}\n  min', 'name: Web}\n  min'), ('  metrics:\n', '  targetCPUUtilizationPercentage: 50\n  metrics:\n'), ('  minReplicas', '  behavior: {scaleDown: {stabilizationWindowSeconds: 4000}}\n  minReplicas'), ('  minReplicas', '  behavior: {scaleUp: {policies: [{type: Pod, value: 0, periodSeconds: 0}]}}\n  minReplicas'), ('name: cpu', 'name: ""')])

slips('learner-budget', '/apis/policy/v1/namespaces/{ns}/poddisruptionbudgets', '''apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec:
  minAvailable: 2
  selector: {matchLabels: {app: web}}
''', [('policy/v1', 'policy/v1beta1'), ('minAvailable: 2', 'minAvailable: "2"'), ('minAvailable: 2', 'minAvailable: 200%'), ('minAvailable: 2', 'minAvailable: -2'), ('minAvailable: 2', 'minAvailable: 2\n  maxUnavailable: 1'), ('minAvailable: 2', 'minAvailable: half'), ('matchLabels', 'matchlabels'), ('matchLabels: {app: web}', 'app: web'), ('  minAvailable', '  unhealthyPodEvictionPolicy: alwaysAllow\n  minAvailable')])

slips('learner-quota', CORE + '/resourcequotas', '''apiVersion: v1
kind: ResourceQuota
metadata: {name: q}
spec:
  hard:
    requests.cpu: "1"
    pods: "5"
''', [('requests.cpu', 'requests.cpus'), ('requests.cpu', 'request.cpu'), ('pods: "5"', 'pods: five'), ('pods: "5"', 'pods: 5.5'), ('pods: "5"', 'pods: -5'), ('pods: "5"', 'pods: [5]'), ('pods: "5"', 'count/deployments: 1'), ('pods: "5"', 'count/deployments.apps: 1'), ('  hard:', '  scopes: [Terminating, NotTerminating]\n  hard:'), ('  hard:', '  scopes: [besteffort]\n  hard:'), ('  hard:', '  scopes: [BestEffort]\n  hard:'), ('  hard:', '  scopes: [1]\n  hard:'), ('  hard:', '  scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In}]}\n  hard:'), ('  hard:', '  Hard:')])

slips('learner-limits', CORE + '/limitranges', '''apiVersion: v1
kind: LimitRange
metadata: {name: l}
spec:
  limits:
  - type: Container
    default: {cpu: 500m}
    defaultRequest: {cpu: 200m}
    max: {cpu: "1"}
    min: {cpu: 100m}
''', [('type: Container', 'type: container'), ('type: Container', 'Type: Container'), ('type: Container', 'type: Pod'), ('default: {cpu: 500m}', 'default: {cpu: 2}'), ('defaultRequest: {cpu: 200m}', 'defaultRequest: {cpu: 700m}'), ('min: {cpu: 100m}', 'min: {cpu: 2}'), ('min: {cpu: 100m}', 'min: {cpu: 100 m}'), ('min: {cpu: 100m}', 'min: {cpus: 1}'), ('min: {cpu: 100m}', 'maxLimitRequestRatio: {cpu: 0.5}'), ('  - type', '    type'), ('  limits:', '  limit:')])

slips('learner-role', RBAC + '/namespaces/{ns}/roles', '''apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules:
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list]
''', [('rbac.authorization.k8s.io/v1', 'rbac.authorization.k8s.io/v1beta1'), ('rbac.authorization.k8s.io/v1', 'rbac/v1'), ('apiGroups: [""]', 'apiGroups: ""'), ('- apiGroups: [""]\n  ', '- '), ('apiGroups: [""]', 'apiGroup: [""]'), ('resources: [pods]', 'resource: [pods]'), ('resources: [pods]', 'resources: pods'), ('resources: [pods]', 'resources: []'), ('verbs: [get, list]', 'verbs: []'), ('verbs: [get, list]', 'verbs: get'), ('verbs: [get, list]', 'verb: [get]'), ('verbs: [get, list]', 'verbs: [1]'), ('rules:', 'rule:'), ('rules:', 'spec: {}\nrules:'), ('verbs: [get, list]', 'verbs: [get]\n  nonResourceURLs: [/x]')])

slips('learner-role-binding', RBAC + '/namespaces/{ns}/rolebindings', '''apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers}
subjects:
- kind: User
  name: jane
  apiGroup: rbac.authorization.k8s.io
roleRef:
  kind: Role
  name: reader
  apiGroup: rbac.authorization.k8s.io
''', [('kind: User', 'kind: user'), ('kind: User', 'kind: ServiceAccount'), ('  name: jane\n', ''), ('name: jane', 'name: 5'), ('apiGroup: rbac.authorization.k8s.io\nroleRef', 'apiGroup: v1\nroleRef'), ('  apiGroup: rbac.authorization.k8s.io\nroleRef', '  namespace: x\nroleRef'), ('kind: Role\n  name', 'kind: role\n  name'), ('  kind: Role\n', ''), ('  name: reader\n', ''), ('apiGroup: rbac.authorization.k8s.io\n', 'apiGroup: rbac\n'), ('roleRef:', 'roleref:'), ('roleRef:\n  kind', 'roleRef:\n- kind'), ('subjects:\n- kind: User\n  name: jane\n  apiGroup: rbac.authorization.k8s.io', 'subjects:\n  kind: User\n  name: jane'), ('subjects:', 'subject:')])

slips('learner-crd', CRD, '''apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: 'crontabs.{u}.example.com'}
spec:
  group: '{u}.example.com'
  scope: Namespaced
  names: {plural: crontabs, singular: crontab, kind: CronTab, shortNames: [ct]}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              cronSpec: {type: string}
              replicas: {type: integer, minimum: 1}
''', [('apiextensions.k8s.io/v1', 'apiextensions.k8s.io/v1beta1'), ("name: 'crontabs.", "name: 'crontab."), ('scope: Namespaced', 'scope: namespaced'), ('  scope: Namespaced\n', ''), ('kind: CronTab', 'kind: Cron Tab'), ('kind: CronTab', 'kind: cronTab'), ('plural: crontabs', 'plural: CronTabs'), ('[ct]', 'ct'), ('[ct]', '[CT]'), ('singular: crontab, ', ''), ('- name: v1\n', '- name: V1\n'), ('- name: v1\n', '- name: "1"\n'), ('served: true', 'served: "true"'), ('    served: true\n', ''), ('storage: true', 'storage: false'), ('    schema:\n      openAPIV3Schema:', '    openAPIV3Schema:'), ('        type: object\n        properties:', '        properties:'), ('cronSpec: {type: string}', 'cronSpec: {type: text}'), ('cronSpec: {type: string}', 'cronSpec: string'), ('cronSpec: {type: string}', 'cronSpec: {}'), ('cronSpec: {type: string}', 'cronSpec: {type: string, pattern: "["}'), ('cronSpec: {type: string}', 'cronSpec: {type: string, default: 5}'), ('cronSpec: {type: string}', 'cronSpec: {type: array}'), ('cronSpec: {type: string}', 'cronSpec: {type: string, enum: a}'), ('cronSpec: {type: string}', 'cronSpec: {type: string, required: true}'), ('minimum: 1', 'minimum: one'), ('minimum: 1', 'min: 1'), ('minimum: 1', 'x-kubernetes-validations: [{rule: "self > 0"}]'), ('minimum: 1', 'x-kubernetes-validations: [{rule: "self > zero"}]'), ('minimum: 1', 'x-kubernetes-validations: [{rules: "self > 0"}]'), ('minimum: 1', 'x-kubernetes-validations: [{rule: "self.size() > 0", message: "a\\nb"}]'),
      ('    served: true', '    subresources: {scale: {specReplicasPath: spec.replicas}}\n    served: true'), ('    served: true', '    subresources: {status: true}\n    served: true'), ('    served: true', '    additionalPrinterColumns: [{name: Spec, type: text, jsonPath: spec.cronSpec}]\n    served: true'), ('    served: true', '    additionalPrinterColumns: [{name: Spec, type: string, JSONPath: .spec.cronSpec}]\n    served: true'), ('    served: true', '    selectableFields: [{jsonPath: .spec.nope}]\n    served: true'), ('  scope:', '  version: v1\n  scope:'), ('  scope:', '  preserveUnknownFields: true\n  scope:'), ('  scope:', '  validation: {openAPIV3Schema: {type: object}}\n  scope:'), ('  scope:', '  conversion: {}\n  scope:'), ('  scope:', '  conversion: {strategy: webhook}\n  scope:'), ('  scope:', '  conversion: {strategy: Webhook}\n  scope:'), ('  scope:', '  conversion: {strategy: None, webhook: {conversionReviewVersions: [v1]}}\n  scope:')], namespace=False)

slips('learner-policy', '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies', '''apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: 'few-{u}'}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - apiGroups: [apps]
      apiVersions: [v1]
      operations: [CREATE, UPDATE]
      resources: [deployments]
  validations:
  - expression: object.spec.replicas <= 5
''', [('CREATE, UPDATE', 'create'), ('CREATE, UPDATE', 'PATCH'), ('CREATE, UPDATE', 'CREATE, "*"'), ('[apps]', 'apps'), ('      apiVersions: [v1]\n', ''), ('[deployments]', '[deployments/*/x]'), ('[deployments]', '["*", deployments]'), ('failurePolicy: Fail', 'failurePolicy: fail'), ('object.spec.replicas <= 5', '"object.spec.replicas <= 5'), ('object.spec.replicas <= 5', 'object.spec.replicas <= '), ('object.spec.replicas <= 5', 'obj.spec.replicas <= 5'), ('object.spec.replicas <= 5', 'object.spec.replica <= 5'), ('object.spec.replicas <= 5', '"\'yes\'"'), ('object.spec.replicas <= 5', 'object.metadata.name.matches("[")'), ('object.spec.replicas <= 5', 'params.max > 5'), ('object.spec.replicas <= 5', '"true"\n    message: "a\\nb"'), ('object.spec.replicas <= 5', '"true"\n    messageExpression: "5"'), ('object.spec.replicas <= 5', '"true"\n    reason: Nope'), ('object.spec.replicas <= 5', 'has(object.spec)'), ('object.spec.replicas <= 5', 'has(object)'), ('object.spec.replicas <= 5', 'variables.x == 1'), ('  validations:', '  variables: [{name: x, expression: "1"}, {name: x, expression: "2"}]\n  validations:'), ('  validations:', '  variables: [{name: "a b", expression: "1"}]\n  validations:'), ('  validations:', '  matchConditions: [{name: x, expression: "1"}]\n  validations:'), ('  validations:', '  auditAnnotations: [{key: "a b", valueExpression: "\'x\'"}]\n  validations:'), ('  validations:', '  paramKind: {kind: ConfigMap}\n  validations:'), ('  validations:\n  - expression: object.spec.replicas <= 5\n', '')], namespace=False)

slips('learner-policy-binding', '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings', '''apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: 'few-{u}'}
spec:
  policyName: few.example.com
  validationActions: [Deny]
  matchResources:
    namespaceSelector: {matchLabels: {environment: test}}
''', [('[Deny]', '[deny]'), ('[Deny]', '[Deny, Warn]'), ('[Deny]', '[Audit, Audit]'), ('[Deny]', 'Deny'), ('  validationActions: [Deny]\n', ''), ('few.example.com', 'Few!'), ('  policyName: few.example.com\n', ''), ('matchResources', 'matchConstraints'), ('  matchResources', '  paramRef: {name: x}\n  matchResources'), ('  matchResources', '  paramRef: {name: x, selector: {}, parameterNotFoundAction: Allow}\n  matchResources'), ('  matchResources', '  paramRef: {parameterNotFoundAction: deny}\n  matchResources')], namespace=False)

slips('learner-webhook', '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations', '''apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: 'hook-{u}'}
webhooks:
- name: pods.example.com
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [nopes]}]
  clientConfig: {service: {namespace: default, name: hook, path: /check}}
  admissionReviewVersions: [v1]
  sideEffects: None
  timeoutSeconds: 5
''', [('pods.example.com', 'pods'), ('[CREATE]', '[Create]'), ('[nopes]', '[]'), ('path: /check', 'path: check'), ('name: hook', 'name: ""'), ('{service: {namespace: default, name: hook, path: /check}}', '{url: "http://x"}'), ('{service: {namespace: default, name: hook, path: /check}}', '{url: "https://x/y?z"}'), ('{service: {namespace: default, name: hook, path: /check}}', '{}'), ('{service: {namespace: default, name: hook, path: /check}}', '{url: "https://x", service: {namespace: a, name: b}}'), ('  admissionReviewVersions: [v1]\n', ''), ('[v1]\n', '[v1beta1]\n'), ('sideEffects: None', 'sideEffects: Some'), ('sideEffects: None', 'sideEffects: none'), ('  sideEffects: None\n', ''), ('timeoutSeconds: 5', 'timeoutSeconds: 31'), ('timeoutSeconds: 5', 'timeoutSeconds: 5s'), ('path: /check}', 'path: /check}, caBundle: abc'), ('path: /check}', 'path: /check}, caBundle: eA=='), ('  timeoutSeconds', '  failurePolicy: ignore\n  timeoutSeconds'), ('  timeoutSeconds', '  matchConditions: [{name: x, expression: "object.x >"}]\n  timeoutSeconds'), ('  timeoutSeconds', '  matchPolicy: exact\n  timeoutSeconds'), ('- name', '- nam: x\n  name')], namespace=False)

slips('learner-priority-class', '/apis/scheduling.k8s.io/v1/priorityclasses', '''apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: 'high-{u}'}
value: 1000000
globalDefault: false
description: x
''', [('value: 1000000', 'value: 2000000000'), ('value: 1000000', 'value: high'), ('value: 1000000', 'value: 3000000000'), ('value: 1000000\n', ''), ('globalDefault: false', 'globalDefault: "no"'), ('globalDefault: false', 'preemptionPolicy: never'), ("'high-{u}'", 'system-x'), ('value', 'spec: {}\nvalue')], namespace=False)

slips('learner-namespace', '/api/v1/namespaces', '''apiVersion: v1
kind: Namespace
metadata:
  name: team-{u}
  labels: {pod-security.kubernetes.io/enforce: baseline}
''', [('team-{u}', 'Team'), ('team-{u}', 'team.a'), ('team-{u}', 'team_{u}'), ('team-{u}', 'default'), ('team-{u}', '5'), ('enforce: baseline', 'enforce: strict'), ('enforce: baseline', 'enforce: Baseline'), ('enforce: baseline', 'enforce-version: latst'), ('  labels', '  namespace: x\n  labels'), ('metadata:', 'spec: {finalizers: [x]}\nmetadata:')], namespace=False)
