set -e
for name in finetune embed pretrain; do
  kubectl patch deployment $name --type=merge -p '{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}'
done
kubectl patch deployment finetune --type=json -p '[{"op":"replace","path":"/spec/template/spec/containers/0/resources/limits","value":{"example.com/a100":"1"}}]'
kubectl patch deployment embed --type=merge -p '{"spec":{"template":{"spec":{"nodeSelector":null}}}}'
kubectl patch deployment pretrain --type=merge -p '{"spec":{"template":{"spec":{"tolerations":[{"key":"dedicated","operator":"Exists","effect":"NoSchedule"}]}}}}'
kubectl set resources deployment pretrain --limits=example.com/a100=4
