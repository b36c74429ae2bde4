{{- /* What servers of gRPC have in common: objects that differ in the service's name only. Each
       takes a list of the root, the service's name and, where it says so, more. */ -}}

{{- /* Always there, also where min equals max and there are no metrics to go by: an autoscaler
       keeps a number of pods within its limits without any. So the Deployment never says how
       many, and a change from one way to the other cannot reset the number to one.
       Takes the service's values as well. */ -}}
{{- define "attune.autoscaler" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $replicas := (index . 2).replicas -}}
{{- if lt (int $replicas.max) (int $replicas.min) }}
{{- fail (printf "%s.replicas.max is %d, below replicas.min (%d)" $name (int $replicas.max) (int $replicas.min)) }}
{{- end }}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "attune.metadata" . | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "attune.name" $root }}-{{ $name }}
  minReplicas: {{ $replicas.min }}
  maxReplicas: {{ $replicas.max }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ $replicas.targetCpuPercent }}
{{- end }}

{{- /* All but one of the fewest that may run; a single replica cannot be kept from eviction
       without keeping its node from being drained. Takes the service's values as well. */ -}}
{{- define "attune.serverBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "attune.metadata" . | nindent 2 }}
spec:
  minAvailable: {{ sub (int (index . 2).replicas.min) 1 }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "attune.selector" . | nindent 6 }}
{{- end }}

{{- /* Without an address of its own: a gRPC connection lives long, so balancing is done by the
       client, which sees every pod behind the name. Takes the port of gRPC as well. */ -}}
{{- define "attune.serverService" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "attune.metadata" . | nindent 2 }}
spec:
  clusterIP: None
  selector:
    {{- include "attune.selector" . | nindent 4 }}
  ports:
    - {name: grpc, port: {{ index . 2 }}, targetPort: grpc, appProtocol: grpc}
    - {name: metrics, port: {{ include "attune.metricsPort" . }}, targetPort: metrics, appProtocol: http}
{{- end }}

{{- /* Takes those who may call, and the ports that may be reached, as well. */ -}}
{{- define "attune.serverPolicy" -}}
{{- $policy := (index . 0).Values.networkPolicy -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "attune.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "attune.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    {{- with index . 2 }}
    - from:
        {{- toYaml . | nindent 8 }}
      ports:
        - {port: grpc, protocol: TCP}
    {{- end }}
    {{- with $policy.scrapers }}
    - from:
        {{- toYaml . | nindent 8 }}
      ports:
        - {port: metrics, protocol: TCP}
    {{- end }}
  egress:
    {{- include "attune.networkPolicyEgress" (index . 3) | nindent 4 }}
{{- end }}

{{- /* The Secret with the hashes of API keys, as a file. Takes the root. */ -}}
{{- define "attune.apiKeysVolume" -}}
name: api-keys
secret:
  secretName: {{ required "apiKeys.secret is missing: name the Secret whose key `keys.json` holds the hashes of the API keys" .Values.apiKeys.secret | quote }}
  items:
    - {key: keys.json, path: keys.json}
  defaultMode: 0440
{{- end }}
