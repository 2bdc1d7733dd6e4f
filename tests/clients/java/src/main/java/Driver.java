import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;

import jakarta.websocket.ContainerProvider;
import org.cometd.bayeux.Channel;
import org.cometd.bayeux.Message;
import org.cometd.bayeux.client.ClientSessionChannel;
import org.cometd.client.BayeuxClient;
import org.cometd.client.http.jetty.JettyHttpClientTransport;
import org.cometd.client.transport.ClientTransport;
import org.cometd.client.websocket.jakarta.WebSocketTransport;
import org.eclipse.jetty.client.HttpClient;
import org.eclipse.jetty.util.ajax.JSON;

/** Drives CometD's Java client over stdin and stdout, as support/process.mjs says. */
public final class Driver {
    private static final JSON JSON_TEXT = new JSON();
    /** As long as the tests wait at most. */
    private static final long BOUND = 15_000;

    private final Replay replay = new Replay();
    private final Set<String> channels = ConcurrentHashMap.newKeySet();
    private BayeuxClient client;

    public static void main(String[] arguments) throws Exception {
        var driver = new Driver();
        var input = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = input.readLine()) != null;) {
            @SuppressWarnings("unchecked")
            var request = (Map<String, Object>) JSON_TEXT.fromJSON(line);
            var result = new HashMap<String, Object>();
            result.put("call", request.get("call"));
            try {
                result.put("result", driver.perform((String) request.get("operation"), (Object[]) request.get("args")));
            } catch (Exception error) {
                result.put("error", error.getMessage());
            }
            write(result);
        }
        System.exit(0);
    }

    private Object perform(String operation, Object[] given) throws Exception {
        return switch (operation) {
            case "connect" -> connect((String) given[0], (Map<?, ?>) given[1]);
            case "subscribe" -> subscribe((String) given[0]);
            case "goBack" -> replay.positions.put((String) given[0], ((Number) given[1]).longValue());
            case "positions" -> replay.positions;
            case "disconnect" -> client.disconnect(BOUND);
            default -> throw new IllegalArgumentException(operation);
        };
    }

    /** Begins a session; how far it was on channels says `since`. */
    private String connect(String url, Map<?, ?> options) throws Exception {
        if (options.get("since") instanceof Map<?, ?> since) {
            since.forEach((channel, id) -> replay.positions.put((String) channel, ((Number) id).longValue()));
        }
        client = new BayeuxClient(url, transport((String) ((Object[]) options.get("transports"))[0]));
        client.addExtension(replay);
        client.getChannel(Channel.META_HANDSHAKE).addListener((ClientSessionChannel.MessageListener) (channel, reply) -> {
            // Subscriptions are those of a session.
            if (reply.isSuccessful()) {
                channels.forEach(name -> client.getChannel(name).subscribe(Driver::hear));
            }
        });
        client.handshake();
        if (!client.waitFor(BOUND, BayeuxClient.State.CONNECTED)) {
            throw new IllegalStateException("it is not connected");
        }
        return client.getTransport().getName();
    }

    private static ClientTransport transport(String name) throws Exception {
        if (name.equals("websocket")) {
            return new WebSocketTransport(null, null, ContainerProvider.getWebSocketContainer());
        }
        var http = new HttpClient();
        http.start();
        return new JettyHttpClientTransport(null, http);
    }

    private Object subscribe(String name) throws Exception {
        var answered = new CompletableFuture<Message>();
        client.getChannel(name).subscribe(Driver::hear, answered::complete);
        var reply = answered.get();
        if (!reply.isSuccessful()) {
            throw new IllegalStateException((String) reply.get("error"));
        }
        channels.add(name);
        return reply.getExt();
    }

    private static void hear(ClientSessionChannel channel, Message message) {
        write(Map.of("report", Map.of("type", "message", "channel", message.getChannel(), "data", message.getData())));
    }

    private static synchronized void write(Map<String, Object> line) {
        System.out.println(JSON_TEXT.toJSON(line));
    }
}
