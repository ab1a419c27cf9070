# All ModelServers in, all that they are to become out; the API server finds the differences, field by field.
pieces='{{range .items}}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{.metadata.name}}
  labels: {made-for: modelserver}
  annotations: {wish: "{{.metadata.generation}}"}
  ownerReferences:
  - {apiVersion: {{.apiVersion}}, kind: {{.kind}}, name: {{.metadata.name}}, uid: {{.metadata.uid}}, controller: true, blockOwnerDeletion: true}
spec:
  replicas: {{.spec.replicas}}
  selector: {matchLabels: {app: "model-{{.metadata.name}}"}}
  template:
    metadata: {labels: {app: "model-{{.metadata.name}}"}}
    spec: {containers: [{name: web, image: "tutor/web:1", env: [{name: MODEL, value: "{{.spec.model}}"}]}]}
---
apiVersion: v1
kind: Service
metadata:
  name: {{.metadata.name}}
  ownerReferences:
  - {apiVersion: {{.apiVersion}}, kind: {{.kind}}, name: {{.metadata.name}}, uid: {{.metadata.uid}}, controller: true, blockOwnerDeletion: true}
spec: {selector: {app: "model-{{.metadata.name}}"}, ports: [{port: 80, targetPort: 80}]}
{{end}}'
# The status of each, by its Deployment: the wish it was made of is noted there.
said='{{range .items}}{{if .metadata.annotations.wish}}
---
apiVersion: ml.example.com/v1
kind: ModelServer
metadata: {name: {{.metadata.name}}}
status: {observedGeneration: {{.metadata.annotations.wish}}, ready: {{or .status.readyReplicas 0}}}
{{end}}{{end}}'
while true; do
  kubectl get modelservers -o go-template="$pieces" | kubectl apply --server-side --force-conflicts -f -
  kubectl get deployments -l made-for=modelserver -o go-template="$said" | kubectl apply --server-side --force-conflicts --subresource=status -f -
  sleep 0.2
done
