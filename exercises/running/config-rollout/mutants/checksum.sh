kubectl patch configmap dials --type merge -p '{"data":{"threshold":"0.8"}}'
kubectl patch deployment filter -p '{"spec":{"template":{"metadata":{"annotations":{"checksum/config":"3f79bb7b435b0532"}}}}}'
