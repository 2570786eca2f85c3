package shape

// CustomKeyStoreType is the kind of a custom key store.
type CustomKeyStoreType string

// The values of CustomKeyStoreType.
const (
	CustomKeyStoreAWSCloudHSM      CustomKeyStoreType = "AWS_CLOUDHSM"
	CustomKeyStoreExternalKeyStore CustomKeyStoreType = "EXTERNAL_KEY_STORE"
)

var customKeyStoreTypeValues = []string{
	string(CustomKeyStoreAWSCloudHSM), string(CustomKeyStoreExternalKeyStore),
}

// Enum implements [Enum].
func (CustomKeyStoreType) Enum() []string { return customKeyStoreTypeValues }

// ConnectionStateType is the connection state of a custom key store.
type ConnectionStateType string

// The values of ConnectionStateType.
const (
	ConnectionStateConnected     ConnectionStateType = "CONNECTED"
	ConnectionStateConnecting    ConnectionStateType = "CONNECTING"
	ConnectionStateFailed        ConnectionStateType = "FAILED"
	ConnectionStateDisconnected  ConnectionStateType = "DISCONNECTED"
	ConnectionStateDisconnecting ConnectionStateType = "DISCONNECTING"
)

var connectionStateTypeValues = []string{
	string(ConnectionStateConnected), string(ConnectionStateConnecting), string(ConnectionStateFailed),
	string(ConnectionStateDisconnected), string(ConnectionStateDisconnecting),
}

// Enum implements [Enum].
func (ConnectionStateType) Enum() []string { return connectionStateTypeValues }

// ConnectionErrorCodeType says why a custom key store is FAILED.
type ConnectionErrorCodeType string

// The values of ConnectionErrorCodeType.
const (
	ConnectionErrorInvalidCredentials                        ConnectionErrorCodeType = "INVALID_CREDENTIALS"
	ConnectionErrorClusterNotFound                           ConnectionErrorCodeType = "CLUSTER_NOT_FOUND"
	ConnectionErrorNetworkErrors                             ConnectionErrorCodeType = "NETWORK_ERRORS"
	ConnectionErrorInternalError                             ConnectionErrorCodeType = "INTERNAL_ERROR"
	ConnectionErrorInsufficientHSMs                          ConnectionErrorCodeType = "INSUFFICIENT_CLOUDHSM_HSMS"
	ConnectionErrorUserLockedOut                             ConnectionErrorCodeType = "USER_LOCKED_OUT"
	ConnectionErrorUserNotFound                              ConnectionErrorCodeType = "USER_NOT_FOUND"
	ConnectionErrorUserLoggedIn                              ConnectionErrorCodeType = "USER_LOGGED_IN"
	ConnectionErrorSubnetNotFound                            ConnectionErrorCodeType = "SUBNET_NOT_FOUND"
	ConnectionErrorInsufficientFreeAddressesInSubnet         ConnectionErrorCodeType = "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET"
	ConnectionErrorXKSProxyAccessDenied                      ConnectionErrorCodeType = "XKS_PROXY_ACCESS_DENIED"
	ConnectionErrorXKSProxyNotReachable                      ConnectionErrorCodeType = "XKS_PROXY_NOT_REACHABLE"
	ConnectionErrorXKSVPCEndpointServiceNotFound             ConnectionErrorCodeType = "XKS_VPC_ENDPOINT_SERVICE_NOT_FOUND"
	ConnectionErrorXKSProxyInvalidResponse                   ConnectionErrorCodeType = "XKS_PROXY_INVALID_RESPONSE"
	ConnectionErrorXKSProxyInvalidConfiguration              ConnectionErrorCodeType = "XKS_PROXY_INVALID_CONFIGURATION"
	ConnectionErrorXKSVPCEndpointServiceInvalidConfiguration ConnectionErrorCodeType = "XKS_VPC_ENDPOINT_SERVICE_INVALID_CONFIGURATION"
	ConnectionErrorXKSProxyTimedOut                          ConnectionErrorCodeType = "XKS_PROXY_TIMED_OUT"
	ConnectionErrorXKSProxyInvalidTLSConfiguration           ConnectionErrorCodeType = "XKS_PROXY_INVALID_TLS_CONFIGURATION"
)

var connectionErrorCodeTypeValues = []string{
	string(ConnectionErrorInvalidCredentials), string(ConnectionErrorClusterNotFound),
	string(ConnectionErrorNetworkErrors), string(ConnectionErrorInternalError), string(ConnectionErrorInsufficientHSMs),
	string(ConnectionErrorUserLockedOut), string(ConnectionErrorUserNotFound), string(ConnectionErrorUserLoggedIn),
	string(ConnectionErrorSubnetNotFound), string(ConnectionErrorInsufficientFreeAddressesInSubnet),
	string(ConnectionErrorXKSProxyAccessDenied), string(ConnectionErrorXKSProxyNotReachable),
	string(ConnectionErrorXKSVPCEndpointServiceNotFound), string(ConnectionErrorXKSProxyInvalidResponse),
	string(ConnectionErrorXKSProxyInvalidConfiguration),
	string(ConnectionErrorXKSVPCEndpointServiceInvalidConfiguration), string(ConnectionErrorXKSProxyTimedOut),
	string(ConnectionErrorXKSProxyInvalidTLSConfiguration),
}

// Enum implements [Enum].
func (ConnectionErrorCodeType) Enum() []string { return connectionErrorCodeTypeValues }

// XksProxyConnectivityType is how an external key store proxy is reached.
type XksProxyConnectivityType string

// The values of XksProxyConnectivityType.
const (
	XksProxyConnectivityPublicEndpoint     XksProxyConnectivityType = "PUBLIC_ENDPOINT"
	XksProxyConnectivityVPCEndpointService XksProxyConnectivityType = "VPC_ENDPOINT_SERVICE"
)

var xksProxyConnectivityTypeValues = []string{
	string(XksProxyConnectivityPublicEndpoint), string(XksProxyConnectivityVPCEndpointService),
}

// Enum implements [Enum].
func (XksProxyConnectivityType) Enum() []string { return xksProxyConnectivityTypeValues }
