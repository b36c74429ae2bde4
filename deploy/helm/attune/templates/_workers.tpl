{{- /* What workers on Kafka have in common: pods that nobody calls, whose stable names are their
       identities in a consumer group. Each takes a list of the root, the service's name and,
       where it says so, more. */ -}}

{{- define "attune.workerBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "attune.metadata" . | nindent 2 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "attune.selector" . | nindent 6 }}
{{- end }}

{{- /* Takes the port of health as well. */ -}}
{{- define "attune.workerService" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "attune.metadata" . | nindent 2 }}
spec:
  clusterIP: None
  selector:
    {{- include "attune.selector" . | nindent 4 }}
  ports:
    - {name: health, port: {{ index . 2 }}, targetPort: health, appProtocol: grpc}
    - {name: metrics, port: {{ include "attune.metricsPort" . }}, targetPort: metrics, appProtocol: http}
{{- end }}

{{- /* Takes the ports that may be reached as well. */ -}}
{{- define "attune.workerPolicy" -}}
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
    {{- with (index . 0).Values.networkPolicy.scrapers }}
    - from:
        {{- toYaml . | nindent 8 }}
      ports:
        - {port: metrics, protocol: TCP}
    {{- end }}
  egress:
    {{- include "attune.networkPolicyEgress" (index . 2) | nindent 4 }}
{{- end }}

{{- /* The Secret with the master key, as a file. Takes the root. */ -}}
{{- define "attune.masterKeyVolume" -}}
name: master-key
secret:
  secretName: {{ required "masterKey.secret is missing: name the Secret whose key `master-key` holds the key under which what names a person is sealed" .Values.masterKey.secret | quote }}
  items:
    - {key: master-key, path: master-key}
  defaultMode: 0440
{{- end }}
