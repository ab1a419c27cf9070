kubectl patch dataset faces --type merge -p '{"metadata":{"finalizers":null}}'
